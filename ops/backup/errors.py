"""Errors of the backup service. Each text is one plain sentence on what is wrong and what to do next.

BackupError
├── RequestError      what is asked for does not exist: a snapshot, a time; nothing was touched
├── SpaceError        there is no room for it; what was there before is untouched
├── BusyError         another backup, restore or drill is at work
├── ToolError         restic or a tool of a database failed; `said` has its own words
│   └── PasswordError the repository does not open with the password
└── DamageError       what was read back is not what was stored
"""

from __future__ import annotations


class BackupError(Exception):
    """Root of what the service raises on purpose. `exit_code` is the process's, as of `./pidea`."""

    exit_code = 5


class RequestError(BackupError):
    """Raised for a snapshot or a time that there is not."""

    exit_code = 2


class SpaceError(BackupError):
    """Raised before a restore that would fill the disk, and where it is full."""

    exit_code = 3


class BusyError(BackupError):
    """Raised where another job holds the repository for longer than the caller waits."""

    exit_code = 4


# In the words of Go's network library and of SSH.
_NETWORK = (
    *("connection refused", "connection reset", "no such host", "i/o timeout", "unreachable", "could not resolve"),
    "no answer within",
)


class ToolError(BackupError):
    """Raised when a program that we started failed. `said` is the end of what it wrote."""

    def __init__(self, what: str, said: str) -> None:
        self.said = said.strip()
        super().__init__(f"{what} failed: {self.said.splitlines()[-1] if self.said else 'it said nothing'}")

    @property
    def is_about_the_network(self) -> bool:
        """Whether the program could not reach its server, so that what it said of the data means nothing."""
        return any(sign in self.said.lower() for sign in _NETWORK)


class PasswordError(ToolError):
    """Raised when the repository does not open with the password."""

    exit_code = 4


class DamageError(BackupError):
    """Raised when what comes out of the repository is damaged, or differs from what was recorded."""

    exit_code = 1
