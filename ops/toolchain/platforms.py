"""The platforms that the tools are published and built for, in Go's names."""

import platform
from dataclasses import dataclass

from ops.toolchain.errors import ToolchainError

_OS = {"Linux": "linux", "Darwin": "darwin"}
_ARCH = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Platform:
    """An operating system and a processor, as in GOOS and GOARCH."""

    os: str
    arch: str

    def __str__(self) -> str:
        return f"{self.os}-{self.arch}"


def current() -> Platform:
    """This machine's platform; raises ToolchainError where the tools are not published for it."""
    system, machine = platform.system(), platform.machine()
    try:
        return Platform(_OS[system], _ARCH[machine])
    except KeyError:
        raise ToolchainError(
            f"PIDEA runs on Linux and macOS, on amd64 and arm64; this machine is {system} on {machine}."
        ) from None
