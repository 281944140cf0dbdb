"""Every error the backend raises on purpose.

PideaError
├── SettingsError                the environment is wrong: fix it and start again
├── StartupError                 PostgreSQL was not there within the allowed time
├── MigrationError               the schema cannot be brought to what this release needs
├── DependencyUnavailableError   a dependency did not do its part: the client may try again (503)
│   ├── BreakerOpenError         refused at once: it keeps failing
│   ├── BulkheadFullError        refused at once: too many calls wait for it already
│   ├── CallTimedOutError        it did not answer in time
│   └── CallFailedError          it could not be reached, or broke off
├── DeadlineExceededError        the time that the client gave the request is over (504)
├── NotFoundError                there is no such thing, or it belongs to somebody else (404)
├── InvalidCursorError           the cursor was not made by this service (422)
├── IdempotencyMismatchError     the key was used for another request (422)
└── IdempotencyInFlightError     the first request with the key is still running (409)
"""

from __future__ import annotations

from collections.abc import Sequence


class PideaError(Exception):
    """Root of the tree; `str(error)` is one sentence that its reader can act on."""


class SettingsError(PideaError):
    """Raised before anything starts, with every wrong setting at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class StartupError(PideaError):
    """Raised when PostgreSQL does not accept a connection within DATABASE_STARTUP_SECONDS."""


class MigrationError(PideaError):
    """Raised when a migration fails or an applied one was edited afterwards."""


class DependencyUnavailableError(PideaError):
    """Raised when a dependency did not do its part; `dependency` names it."""

    def __init__(self, dependency: str, message: str) -> None:
        self.dependency = dependency
        super().__init__(message)


class BreakerOpenError(DependencyUnavailableError):
    """Raised at once instead of calling a dependency that keeps failing."""


class BulkheadFullError(DependencyUnavailableError):
    """Raised at once when as many calls as allowed run and wait already."""


class CallTimedOutError(DependencyUnavailableError):
    """Raised when a dependency did not answer in time."""


class CallFailedError(DependencyUnavailableError):
    """Raised when a dependency could not be reached or broke off."""


class DeadlineExceededError(PideaError):
    """Raised when the time that the client gave the request is over."""


class NotFoundError(PideaError):
    """Raised for what does not exist, or belongs to another client; the two must look the same."""


class InvalidCursorError(PideaError):
    """Raised for a cursor that this service did not make."""


class IdempotencyMismatchError(PideaError):
    """Raised when an Idempotency-Key comes again with another request."""


class IdempotencyInFlightError(PideaError):
    """Raised when an Idempotency-Key comes again while its first request is running."""
