"""What runs, what is asked for, and which way it goes from one to the other."""

from __future__ import annotations

import dataclasses

from infra import names, servers
from ops.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """From the version that runs to the one that is asked for."""

    server: str
    running: str
    wanted: str

    @property
    def title(self) -> str:
        """PostgreSQL or Redis."""
        return {names.POSTGRES: servers.POSTGRES, names.REDIS: servers.REDIS}[self.server].title

    @property
    def is_none(self) -> bool:
        """What is asked for runs already."""
        return numbers(self.running) == numbers(self.wanted)

    @property
    def is_back(self) -> bool:
        """To an earlier version."""
        return numbers(self.wanted) < numbers(self.running)

    @property
    def is_major(self) -> bool:
        """Whether the files of one are not the files of the other."""
        return major(self.running) != major(self.wanted)


def numbers(version: str) -> tuple[int, ...]:
    """`15.20` → (15, 20), which compares as versions do."""
    return tuple(int(part) for part in version.split("."))


def major(version: str) -> str:
    """`15.20` → `15`."""
    return version.partition(".")[0]


def refuse(change: Change, *, back: bool, command: str) -> None:
    """Raises UsageError where it goes the other way than was said."""
    if change.is_back and not back:
        raise UsageError(
            f"{change.title} {change.running} runs, and the settings ask for the earlier {change.wanted}; nothing was "
            f"touched. If that is meant: `{command} --back`."
        )
    if back and not change.is_back and not change.is_none:
        raise UsageError(
            f"--back goes to an earlier version: {change.title} {change.running} runs, and the settings ask for "
            f"{change.wanted}. Put the earlier one into pidea:{change.server}, version; nothing was touched."
        )
    if back and change.is_none:
        raise UsageError(
            f"--back goes to the version that the settings name, and that one, {change.running}, runs: put the "
            f"earlier one into pidea:{change.server}, version; nothing was touched."
        )
