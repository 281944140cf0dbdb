"""Questions to a stack's Prometheus, through the operators' door of its edge."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ops.errors import OpsError
from ops.stack import door
from ops.stack.reference import Stack

Sample = tuple[Mapping[str, str], float]
# PromQL → one (labels, value) for each series.
Ask = Callable[[str], Sequence[Sample]]


class MetricsError(OpsError):
    """Raised when Prometheus cannot be asked, or does not understand the question."""


def asker(stack: Stack, outputs: Mapping[str, Any]) -> Ask:
    """A function from PromQL to one (labels, value) for each series now. `outputs` with the operator's password.

    It raises MetricsError.
    """
    return through(stack, door.caller(stack, outputs))


def through(stack: Stack, call: door.Call) -> Ask:
    """The same, through a door that is known."""

    def ask(query: str) -> Sequence[Sample]:
        try:
            found = call("GET", f"prometheus/api/v1/query?{urllib.parse.urlencode({'query': query})}", None)
            return [(series["metric"], float(series["value"][1])) for series in found["data"]["result"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MetricsError(f"Prometheus of {stack.name} cannot be asked: {error}") from error

    return ask
