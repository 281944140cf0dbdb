"""A rule, and what it finds. Pure: knows neither Pulumi nor where resources come from."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from policies.view import Stack, View

Parameters = Mapping[str, Any]
JudgeResource = Callable[[View, Parameters], Iterator[str]]
JudgeStack = Callable[[Stack, Parameters], Iterator["Problem"]]


class Severity(enum.StrEnum):
    """How bad it is if the rule is broken."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Level(enum.StrEnum):
    """What a broken rule does: nothing, a warning, an end of the run."""

    DISABLED = "disabled"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a stack rule has found, and on which resource; None: on the stack as a whole."""

    resource: View | None
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule about one resource, or about a whole stack: exactly one of `judge` and `judge_stack` is there.

    `judge` gets resources of `types` only and yields a sentence without its subject for each problem ("runs as
    root"). `remediation` says how to repair it. `repair` returns the properties as they should be, None where they are;
    it is only used where somebody asks for Pulumi's level `remediate`, and must be safe without asking anybody.
    `parameters` are JSON schemas by name; their values come from `environments.py` or from the pack's configuration.
    """

    id: str
    title: str
    severity: Severity
    description: str
    remediation: str
    references: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    judge: JudgeResource | None = None
    judge_stack: JudgeStack | None = None
    repair: Callable[[Any], Any] | None = None
    parameters: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=lambda: MappingProxyType({}))


class Status(enum.StrEnum):
    """What became of a finding."""

    VIOLATION = "violation"
    WAIVED = "waived"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem of one resource (`resource` and `urn` empty: of the stack)."""

    rule: str
    status: Status
    resource: str
    urn: str
    message: str
