"""Questions to Jaeger's HTTP API: which traces there are, and one trace as a tree."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests

from ops.dashboards.errors import QueryError, SourceError

ANSWER_SECONDS = 15.0
TRACE_ID = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?")


@dataclasses.dataclass(frozen=True)
class Span:
    """A piece of work. `depth` is how many spans it is within, `start_seconds` counts from the trace's start."""

    span_id: str
    service: str
    operation: str
    depth: int
    start_seconds: float
    duration_seconds: float
    is_error: bool
    tags: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Trace:
    """A request's spans, parents before their children. `timestamp` is its start in seconds since 1970."""

    trace_id: str
    timestamp: float
    spans: tuple[Span, ...]

    @property
    def duration_seconds(self) -> float:
        """To the end of what ended last."""
        return max(span.start_seconds + span.duration_seconds for span in self.spans)

    @property
    def has_error(self) -> bool:
        """Whether any part of it failed."""
        return any(span.is_error for span in self.spans)


class Jaeger:
    """The one that keeps the traces."""

    def __init__(self, url: str) -> None:
        self._url = url

    def services(self) -> list[str]:
        """What sent traces. Raises SourceError."""
        return sorted(self._ask("services") or [])

    def search(
        self, service: str, *, start: float, end: float, at_least_seconds: float = 0.0, limit: int = 50
    ) -> list[Trace]:
        """The newest traces with spans of the service. Times are seconds since 1970. Raises SourceError, QueryError."""
        parameters = {
            "service": service,
            "start": str(int(start * 1e6)),
            "end": str(int(end * 1e6)),
            "limit": str(limit),
            **({"minDuration": f"{int(at_least_seconds * 1e6)}us"} if at_least_seconds else {}),
        }
        found = [_trace(one) for one in self._ask("traces", **parameters) or [] if one["spans"]]
        return sorted(found, key=lambda trace: trace.timestamp, reverse=True)

    def trace(self, trace_id: str) -> Trace:
        """Raises QueryError for what is no id and for one that Jaeger does not have, SourceError."""
        if not TRACE_ID.fullmatch(trace_id):
            raise QueryError(f"{trace_id!r} is no trace id: it has 32 digits of 0-9 and a-f")
        found = self._ask(f"traces/{trace_id}")
        if not found or not found[0]["spans"]:
            raise QueryError(
                f"Jaeger has no trace {trace_id}: it was not sampled, is too old, or is not there yet; "
                "spans arrive within some seconds."
            )
        return _trace(found[0])

    def _ask(self, path: str, **parameters: str) -> Any:
        try:
            answer = requests.get(f"{self._url}/api/{path}", params=parameters, timeout=ANSWER_SECONDS)
            content = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise SourceError(
                f"{self._url} does not answer as Jaeger does ({type(error).__name__}). "
                "Look at `./pidea status` and `./pidea logs STACK jaeger`."
            ) from error
        if answer.status_code == 404:
            return None
        if answer.status_code >= 400:
            said = "; ".join(str(one.get("msg")) for one in content.get("errors") or ()) or answer.status_code
            raise QueryError(f"Jaeger refuses the question: {said}")
        return content["data"]


def _trace(content: Mapping[str, Any]) -> Trace:
    spans = content["spans"]
    began = min(span["startTime"] for span in spans)
    services = {key: process["serviceName"] for key, process in content["processes"].items()}
    return Trace(
        trace_id=content["traceID"],
        timestamp=began / 1e6,
        spans=tuple(_span(span, depth, began, services) for span, depth in _in_order(spans)),
    )


def _in_order(spans: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Each span and its depth: parents before children, earlier before later."""
    known = {span["spanID"] for span in spans}
    children: dict[str, list[Mapping[str, Any]]] = {}
    for span in sorted(spans, key=lambda one: one["startTime"]):
        parents = [one["spanID"] for one in span.get("references") or () if one["refType"] == "CHILD_OF"]
        # A parent that was lost, or is elsewhere, leaves its children at the top.
        children.setdefault(next((one for one in parents if one in known), ""), []).append(span)
    waiting = [(span, 0) for span in reversed(children.get("", []))]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting += [(child, depth + 1) for child in reversed(children.get(span["spanID"], []))]


def _span(content: Mapping[str, Any], depth: int, began: int, services: Mapping[str, str]) -> Span:
    tags = tuple((str(tag["key"]), str(tag["value"])) for tag in content.get("tags") or ())
    return Span(
        span_id=content["spanID"],
        service=services.get(content["processID"], "unknown"),
        operation=content["operationName"],
        depth=depth,
        start_seconds=(content["startTime"] - began) / 1e6,
        duration_seconds=content["duration"] / 1e6,
        is_error=("error", "True") in tags or ("otel.status_code", "ERROR") in tags,
        tags=tags,
    )
