"""Errors of the infrastructure program.

InfraError
├── SettingsError   the stack's configuration cannot be used
├── RenderError     a template and its values do not fit
└── PlanError       the settings are fine one by one, but not together
"""

from __future__ import annotations

from collections.abc import Sequence


class InfraError(Exception):
    """Root of every error that this package raises on purpose."""


class SettingsError(InfraError):
    """Raised before the first resource when a `pidea:` configuration key is unknown, missing or ill-typed.

    `problems` holds one line for each: a path and an expectation, as in `pidea:app.replicas: must be at least 1, is 0`.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class RenderError(InfraError):
    """Raised when a template names a value that it was not given."""


class PlanError(InfraError):
    """Raised when the plan contradicts itself, for example a service that mounts a volume nobody declares."""
