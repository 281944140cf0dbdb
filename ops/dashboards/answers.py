"""What a dashboard's panels show: every query asked, a few at a time."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ops.dashboards.definitions import Annotation, Dashboard, Panel, Target
from ops.dashboards.errors import QueryError
from ops.dashboards.prometheus import Exemplar, Prometheus, Series
from ops.dashboards.window import Window

# Prometheus has one processor; more at once would only wait there.
_AT_ONCE = 4
_LABEL = re.compile(r"{{\s*(\w+)\s*}}")


@dataclasses.dataclass(frozen=True)
class Named:
    """A series under the name that it is shown by."""

    name: str
    series: Series


@dataclasses.dataclass(frozen=True)
class Mark:
    """Something that happened, to be marked in every graph."""

    timestamp: float
    text: str
    colour: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a panel shows, or the one line that says why it shows nothing."""

    panel: Panel
    series: Sequence[Named] = ()
    exemplars: Sequence[Exemplar] = ()
    problem: str = ""


def ask(prometheus: Prometheus, dashboard: Dashboard, window: Window) -> tuple[list[Answer], list[Mark]]:
    """Every panel's answer in the panels' order, and what to mark. A wrong query is its panel's problem.

    Raises SourceError where Prometheus is away: then there is nothing to show at all.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        marks = [pool.submit(_marks, prometheus, one, window) for one in dashboard.annotations]
        answers = [pool.submit(_answer, prometheus, panel, window) for panel in dashboard.panels]
        return [one.result() for one in answers], sorted(
            (mark for one in marks for mark in one.result()), key=lambda mark: mark.timestamp
        )


def name_of(target: Target, labels: Mapping[str, str]) -> str:
    """What a series is called: the legend with its labels' values, else all its labels."""
    name = _LABEL.sub(lambda found: labels.get(found[1], ""), target.legend).strip()
    return name or ", ".join(f"{key}={value}" for key, value in labels.items() if key != "__name__") or "value"


def _answer(prometheus: Prometheus, panel: Panel, window: Window) -> Answer:
    look = prometheus.range if panel.kind == "timeseries" else prometheus.instant
    try:
        series = [
            Named(name_of(target, one.labels), one)
            for target in panel.targets
            for one in look(target.expression, window)
        ]
        exemplars = [
            one
            for target in panel.targets
            if target.exemplars
            for one in _slowest(prometheus.exemplars(target.expression, window), window.step)
        ]
    except QueryError as error:
        return Answer(panel, problem=str(error))
    return Answer(panel, series, exemplars)


def _slowest(exemplars: Sequence[Exemplar], step: int) -> list[Exemplar]:
    """Of each piece of time the slowest request: under load there are thousands, and those are sought."""
    found: dict[int, Exemplar] = {}
    for one in exemplars:
        piece = int(one.timestamp // step)
        if piece not in found or one.value > found[piece].value:
            found[piece] = one
    return list(found.values())


def _marks(prometheus: Prometheus, annotation: Annotation, window: Window) -> list[Mark]:
    try:
        found = prometheus.range(annotation.expression, window)
    except QueryError:
        return []  # Marks are an extra: a panel's own error says more.
    marks = set()
    for one in found:
        text = " ".join(value for key in ("title", "digest") if (value := one.labels.get(key)))
        author = one.labels.get("author")
        # The same event is seen at several points.
        for happened in {value for _, value in one.points}:
            marks.add(Mark(happened, f"{text} by {author}" if author else text, annotation.colour))
    return list(marks)
