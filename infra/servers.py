"""Which versions of the servers that keep data a stack can be given, and where in Debian each comes from. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

# What everything else starts from.
SUITE: Final = "bookworm"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """One of them. `suites` has Debian's release for each major version; `packages` come in one exact version.

    In `packages` and `pin` stand `{major}` and `{version}`, as Debian writes them.
    """

    title: str
    default: str
    suites: Mapping[str, str]
    packages: tuple[str, ...]
    pin: str
    build_argument: str

    def major(self, version: str) -> str:
        """`15.20` → `15`."""
        return version.partition(".")[0]

    def suite(self, version: str) -> str:
        """Debian's release that has it."""
        return self.suites[self.major(version)]

    def pins(self, version: str) -> str:
        """`package=version` for each package, for the image's build; empty where the newest of the major will do."""
        if "." not in version:
            return ""
        pin = self.pin.format(version=version)
        return " ".join(f"{package.format(major=self.major(version))}={pin}" for package in self.packages)


POSTGRES: Final = Server(
    title="PostgreSQL",
    default="15",
    suites=MappingProxyType({"15": "bookworm", "17": "trixie"}),
    packages=("postgresql-{major}", "postgresql-client-{major}"),
    pin="{version}-*",
    build_argument="POSTGRES_MAJOR",
)
REDIS: Final = Server(
    title="Redis",
    default="7",
    suites=MappingProxyType({"7": "bookworm", "8": "trixie"}),
    packages=("redis-server", "redis-tools"),
    pin="5:{version}-*",
    build_argument="REDIS_MAJOR",
)


def as_text(value: Any) -> Any:
    """A version as YAML gives it. Raises ValueError for a number with a point, which has lost its last zero."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        raise ValueError(f'must stand in quotes, as "{value}": as a number, 15.2 and 15.20 are the same')
    return value
