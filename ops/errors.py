"""Errors of the operator's commands. Each text is one plain sentence on what is wrong and one on what to do next.

OpsError
├── UsageError     the command line names something that does not exist
├── HostError      this machine lacks something: Docker, a swarm, memory, a free port, permission
├── StateError     Pulumi's state, its lock or its passphrase cannot be used
└── DeployError    Pulumi ran and failed, or what runs is not what was asked for
"""

from __future__ import annotations


class OpsError(Exception):
    """Root of every error that a command shows without a traceback. `exit_code` is the process's."""

    exit_code = 1


class UsageError(OpsError):
    """Raised for a stack, service or option value that does not exist; nothing was touched."""

    exit_code = 2


class HostError(OpsError):
    """Raised when the machine cannot do what is asked, before anything is touched."""

    exit_code = 3


class StateError(OpsError):
    """Raised when the stack's state cannot be read, is locked, or does not open with the passphrase."""

    exit_code = 4


class DeployError(OpsError):
    """Raised when a deployment failed or left something else running than was asked for."""

    exit_code = 5
