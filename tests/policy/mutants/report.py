"""What was measured, for people."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.policy.mutants.running import REPOSITORY, Outcome

POLICIES: Final = REPOSITORY / "policies"
# Titles and the like are what the generated pages are made of; references are a table's.
TEXTS: Final = ("test_documents.py", "test_cis_table.py")
DOCUMENT: Final = REPOSITORY / "docs" / "policies" / "mutants.md"
PROMISED: Final = 0.90
# Each module, and the tests that are about it: those are asked first.
MODULES: Final[Mapping[Path, Sequence[str]]] = MappingProxyType(
    {
        **{
            POLICIES / "rules" / f"{theme}.py": [f"test_{name}.py", *TEXTS]
            for theme, name in {
                "changes": "changes",
                "containers": "container_rules",
                "exceptions": "exceptions",
                "network": "network",
                "resources": "resources",
                "rollback": "rollback",
                "secrets": "secrets",
                "supply_chain": "supply_chain",
                "topology": "topology",
                "watching": "watching",
            }.items()
        },
        POLICIES / "view.py": ["test_view.py"],
        POLICIES / "judge.py": ["test_judge.py"],
        POLICIES / "exceptions.py": ["test_exceptions.py"],
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Module:
    """A module's mutants, and how long they took."""

    path: Path
    outcomes: Sequence[Outcome]
    seconds: float

    @property
    def survivors(self) -> list[Outcome]:
        """Those that no test noticed, in the order of the text."""
        return sorted((item for item in self.outcomes if not item.killed_by), key=lambda item: item.mutant.line)

    @property
    def killed(self) -> int:
        """How many were noticed."""
        return len(self.outcomes) - len(self.survivors)


def is_enough(modules: Sequence[Module]) -> bool:
    """Whether as many were noticed as promised."""
    return sum(m.killed for m in modules) >= PROMISED * sum(len(m.outcomes) for m in modules)


def line(module: Module) -> str:
    """One module, for a terminal."""
    name = module.path.relative_to(REPOSITORY)
    return f"{name}: {_share(module.killed, len(module.outcomes))} in {module.seconds:.0f} s"


def total(modules: Sequence[Module]) -> str:
    """All of them."""
    return f"all: {_share(sum(m.killed for m in modules), sum(len(m.outcomes) for m in modules))}"


def write(modules: Sequence[Module], every: int) -> None:
    """The document, of what has been measured so far: every so manieth mutant of each module."""
    DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
    DOCUMENT.write_text("\n".join(_document(modules, every)) + "\n", encoding="utf-8")


def _share(killed: int, count: int) -> str:
    return f"{killed} of {count} killed, {killed / count:.1%}" if count else "no mutants"


def _document(modules: Sequence[Module], every: int) -> list[str]:
    count, killed = sum(len(m.outcomes) for m in modules), sum(m.killed for m in modules)
    minutes = sum(m.seconds for m in modules) / 60
    lines = [
        "# What the rules' tests notice",
        "",
        "Each mutant is a policy module with one change: another comparison, constant, text or operator, a condition",
        "that always or never holds, an argument, result or statement that is gone. It is killed where a test fails",
        "that is about this module and single properties, or that compares the generated pages. Written by",
        "`.venv/bin/python -m tests.policy.mutants --write`, which fails below 90 %.",
        "",
        *([f"A sample: every {every}th mutant of each module.", ""] if every > 1 else []),
        f"Measured on {datetime.datetime.now(datetime.UTC):%Y-%m-%d} in {minutes:.0f} min: "
        f"**{killed} of {count} killed, {killed / count:.1%}**.",
        "",
        "| module | mutants | killed | of these by time | share |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for module in modules:
        late = sum(item.killed_by == "time" for item in module.outcomes)
        name = module.path.relative_to(REPOSITORY)
        share = f"{module.killed / len(module.outcomes):.1%}"
        lines.append(f"| `{name}` | {len(module.outcomes)} | {module.killed} | {late} | {share} |")
    left = [path for path in MODULES if path not in {module.path for module in modules}]
    lines += [f"| `{path.relative_to(REPOSITORY)}` | not measured | | | |" for path in left]
    lines += ["", *_by_operator(modules), "", "## Survivors"]
    for module in modules:
        if module.survivors:
            lines += ["", f"### `{module.path.relative_to(REPOSITORY)}`", ""]
            lines += [_survivor(item) for item in module.survivors]
    return lines


def _by_operator(modules: Sequence[Module]) -> list[str]:
    lines = ["| change | mutants | killed |", "| --- | ---: | ---: |"]
    every = [item for module in modules for item in module.outcomes]
    for operator in sorted({item.mutant.operator for item in every}):
        of_it = [item for item in every if item.mutant.operator == operator]
        lines.append(f"| {operator} | {len(of_it)} | {sum(bool(item.killed_by) for item in of_it)} |")
    return lines


def _survivor(outcome: Outcome) -> str:
    mutant = outcome.mutant
    return f"- line {mutant.line}, {mutant.operator}: {_code(mutant.before)} → {_code(mutant.after)}"


def _code(text: str) -> str:
    first, *more = text.splitlines() or [""]
    shown = first if len(first) <= 110 else f"{first[:109]}…"
    fence = "``" if "`" in shown else "`"
    return f"{fence}{' ' if fence == '``' else ''}{shown}{' …' if more else ''}{' ' if fence == '``' else ''}{fence}"
