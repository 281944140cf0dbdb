"""Every error the backend raises on purpose.

PideaError
├── SettingsError             the environment is wrong: fix it and start again
├── StartupError              PostgreSQL was not there within the allowed time
├── MigrationError            the schema cannot be brought to what this release needs
├── DatabaseUnavailableError  PostgreSQL did not answer: the client may try again
└── BreakerOpenError          the circuit breaker refused the call without trying it
"""

from __future__ import annotations

from collections.abc import Sequence


class PideaError(Exception):
    """Root of the tree; `str(error)` is one sentence an operator can act on."""


class SettingsError(PideaError):
    """Raised before anything starts, with every wrong setting at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class StartupError(PideaError):
    """Raised when PostgreSQL does not accept a connection within DATABASE_STARTUP_SECONDS."""


class MigrationError(PideaError):
    """Raised when a migration fails or an applied one was edited afterwards."""


class DatabaseUnavailableError(PideaError):
    """Raised for a request that PostgreSQL could not serve now; answered with 503."""


class BreakerOpenError(PideaError):
    """Raised at once instead of calling a dependency that keeps failing."""
