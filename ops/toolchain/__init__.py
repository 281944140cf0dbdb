"""The tools that provisioning needs and no package registry has: found, downloaded or built, and kept in the cache."""

from ops.toolchain.errors import ToolchainError
from ops.toolchain.provide import ALL, Toolchain, ensure, find, prune

__all__ = ["ALL", "Toolchain", "ToolchainError", "ensure", "find", "prune"]
