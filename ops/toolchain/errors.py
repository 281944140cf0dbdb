"""What can go wrong while the toolchain is looked for, downloaded or built.

ToolchainError
├── ChecksumError
├── CommandError
└── UnavailableError
"""


class ToolchainError(Exception):
    """Raised when a tool can be neither found, downloaded nor built; the text says why and what to do next."""


class ChecksumError(ToolchainError):
    """Raised when a download is not the file that its publisher listed; nothing of it is kept."""


class CommandError(ToolchainError):
    """Raised when a command that builds a tool fails; the text ends with the last lines of its output."""


class UnavailableError(ToolchainError):
    """Raised when one way to get a tool does not work on this machine; the next way is tried."""
