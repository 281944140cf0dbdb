"""Exceptions from rules, as code: `exceptions.yaml`, each with a reason, an owner and a day on which it ends."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = Path(__file__).with_name("exceptions.yaml")
KEYS: Final = ("rule", "resource", "environment", "reason", "owner", "expires")
# Longer than that is not an exception but a decision, and belongs into the rule.
MAX_DAYS: Final = 366
ENVIRONMENTS: Final = ("staging", "prod")


class ExceptionsError(Exception):
    """The file is not what it must be. The text names file and line for each problem."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiver:
    """`resource` is a resource's name, `*` in it stands for any text; empty for the stack as a whole."""

    rule: str
    resource: str
    environment: str
    reason: str
    owner: str
    expires: datetime.date
    line: int

    def covers(self, rule: str, resource: str) -> bool:
        """Whether it is about that."""
        pattern = ".*".join(re.escape(part) for part in self.resource.split("*"))
        return self.rule == rule and re.fullmatch(pattern, resource, re.DOTALL) is not None


class Waivers:
    """Those that count today in one environment, and which of them have been needed."""

    def __init__(self, waivers: Sequence[Waiver], *, environment: str, today: datetime.date) -> None:
        self._waivers = [waiver for waiver in waivers if waiver.environment == environment]
        self._today = today
        self._used: set[Waiver] = set()
        self._unjudged: set[str] = set()

    def covers(self, rule: str, resource: str) -> bool:
        """Whether the rule is waived for the resource; notes that it was needed."""
        found = [waiver for waiver in self.current if waiver.covers(rule, resource)]
        self._used.update(found)
        return bool(found)

    def unjudged(self, rule: str) -> None:
        """Nobody can say yet whether what is waived of the rule is needed."""
        self._unjudged.add(rule)

    @property
    def current(self) -> list[Waiver]:
        """Those that have not ended."""
        return [waiver for waiver in self._waivers if waiver.expires >= self._today]

    @property
    def expired(self) -> list[Waiver]:
        """Those that have."""
        return [waiver for waiver in self._waivers if waiver.expires < self._today]

    @property
    def unused(self) -> list[Waiver]:
        """Those that nothing has needed. Ask when everything has been judged."""
        return [w for w in self.current if w not in self._used and w.rule not in self._unjudged]


def load(known_rules: Collection[str], path: Path = FILE) -> list[Waiver]:
    """The exceptions of the file. Raises ExceptionsError."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ExceptionsError(f"{path.name} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = getattr(error, "problem", None) or getattr(error, "reason", error)
        raise ExceptionsError(f"{path.name}:{_line(error, path)}: is not YAML: {problem}") from None
    if node is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise ExceptionsError(f"{path.name}:{node.start_mark.line + 1}: must be a list of exceptions")
    waivers, problems = [], []
    for item in node.value:
        line = item.start_mark.line + 1
        found = list(_problems(item, known_rules))
        problems += [f"{path.name}:{line}: {problem}" for problem in found]
        if not found:
            waivers.append(Waiver(**_constructed(item), line=line))
    if problems:
        raise ExceptionsError("\n".join(problems))
    return waivers


def _line(error: Exception, path: Path) -> int:
    """Where in the file it is; yaml and Python's decoder say so in different ways."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    if isinstance(error, UnicodeDecodeError):
        return error.object[: error.start].count(b"\n") + 1
    text = path.read_text(encoding="utf-8")
    return text[: getattr(error, "position", 0)].count("\n") + 1


def _constructed(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def _problems(node: yaml.Node, known_rules: Collection[str]) -> Iterator[str]:
    if not isinstance(node, yaml.MappingNode):
        yield f"must be an exception with {', '.join(KEYS)}"
        return
    # Before it is constructed: that puts what `<<` brings in among the node's own.
    names = [str(key.value) for key, _ in node.value]
    try:
        given = _constructed(node)
    except Exception as error:  # with a tag of its own, a value makes yaml's constructors raise anything
        yield f"cannot be read: {getattr(error, 'problem', error)}"
        return
    yield from (f"{name!r} is there twice" for name in sorted({name for name in names if names.count(name) > 1}))
    yield from (f"{key!r} is missing" for key in KEYS if key not in given)
    yield from (f"there is no key {key!r}" for key in given if key not in KEYS)
    for key in ("rule", "resource", "reason", "owner"):
        value = given.get(key, "x")
        if not isinstance(value, str) or not (value.strip() or key == "resource"):
            yield f"{key} must be a text, is {value!r}"
    rule = given.get("rule")
    if isinstance(rule, str) and rule.strip() and rule not in known_rules:
        yield f"there is no rule {rule!r}; `./pidea policy explain` lists them"
    if set(str(given.get("resource", "")).strip()) == {"*"}:
        yield "resource must not be all of them; switch the rule off instead"
    if "environment" in given and given["environment"] not in ENVIRONMENTS:
        yield f"environment must be one of {', '.join(ENVIRONMENTS)}, is {given['environment']!r}"
    expires = given.get("expires")
    if "expires" in given and (not isinstance(expires, datetime.date) or isinstance(expires, datetime.datetime)):
        yield f"expires must be a day such as 2027-01-31, is {expires!r}"
    elif isinstance(expires, datetime.date) and (expires - datetime.datetime.now(datetime.UTC).date()).days > MAX_DAYS:
        yield f"expires must be within {MAX_DAYS} days, is {expires}"
