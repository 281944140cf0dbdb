"""Questions to Prometheus' HTTP API."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from ops.dashboards.errors import QueryError, SourceError
from ops.dashboards.window import Window

ANSWER_SECONDS = 15.0


@dataclasses.dataclass(frozen=True)
class Series:
    """A time series: its labels, and seconds since 1970 with a value each."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Exemplar:
    """One request among those that a histogram counted, and its trace."""

    trace_id: str
    timestamp: float
    value: float


class Prometheus:
    """One, or replicas that know the same: the first that answers is asked."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)

    def range(self, expression: str, window: Window) -> list[Series]:
        """Series over the window. Raises SourceError, QueryError."""
        found = self._ask(
            "query_range",
            query=window.fill(expression),
            start=f"{window.start:.3f}",
            end=f"{window.end:.3f}",
            step=str(window.step),
        )
        return [Series(one["metric"], tuple((float(t), float(v)) for t, v in one["values"])) for one in found["result"]]

    def instant(self, expression: str, window: Window) -> list[Series]:
        """What each series is at the window's end. Raises SourceError, QueryError."""
        found = self._ask("query", query=window.fill(expression), time=f"{window.end:.3f}")
        return [Series(one["metric"], ((float(one["value"][0]), float(one["value"][1])),)) for one in found["result"]]

    def exemplars(self, expression: str, window: Window) -> list[Exemplar]:
        """The requests that were remembered of the histograms in a query. Raises SourceError, QueryError."""
        found = self._ask(
            "query_exemplars",
            query=window.fill(expression),
            start=f"{window.start:.3f}",
            end=f"{window.end:.3f}",
        )
        return [
            Exemplar(one["labels"]["trace_id"], float(one["timestamp"]), float(one["value"]))
            for series in found
            for one in series["exemplars"]
            if "trace_id" in one["labels"]
        ]

    def _ask(self, path: str, **parameters: str) -> Any:
        silent = ""
        for url in self._urls:
            try:
                answer = requests.get(f"{url}/api/v1/{path}", params=parameters, timeout=ANSWER_SECONDS)
                content = answer.json()
            except (requests.RequestException, ValueError) as error:
                silent = f"{url} does not answer as Prometheus does ({type(error).__name__})"
                continue
            if content.get("status") != "success":
                raise QueryError(f"Prometheus refuses the query: {content.get('error', answer.status_code)}")
            return content["data"]
        raise SourceError(f"{silent}. Look at `./pidea status` and `./pidea logs STACK prometheus`.")
