"""Version numbers of the tools, compared by their first three parts."""

import re
from dataclasses import dataclass

Version = tuple[int, int, int]


def parse(text: str) -> Version | None:
    """The first version number in the text, such as (3, 230, 0) for "v3.230.0"; None where there is none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


@dataclass(frozen=True)
class Range:
    """Versions from `lowest` on, below the next major one, which may break what this repository relies on."""

    lowest: Version

    def __contains__(self, version: Version | None) -> bool:
        return version is not None and self.lowest <= version < (self.lowest[0] + 1, 0, 0)

    def __str__(self) -> str:
        return f">= {'.'.join(map(str, self.lowest))}, < {self.lowest[0] + 1}"
