"""Dashboards as Grafana's JSON says them: the only place that knows its shape."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.dashboards.errors import DefinitionError

KINDS = ("timeseries", "stat", "table")


@dataclasses.dataclass(frozen=True)
class Target:
    """A query of a panel, and what its series are called: text with labels in braces."""

    expression: str
    legend: str
    exemplars: bool


@dataclasses.dataclass(frozen=True)
class Threshold:
    """The colour from `value` on; the first has no lower end."""

    value: float
    colour: str


@dataclasses.dataclass(frozen=True)
class Panel:
    """One figure, graph or table. `width` is of 24 columns; `top` is the highest value that there can be."""

    number: int
    kind: str
    title: str
    text: str
    unit: str
    width: int
    targets: tuple[Target, ...]
    thresholds: tuple[Threshold, ...]
    is_stacked: bool
    top: float | None


@dataclasses.dataclass(frozen=True)
class Annotation:
    """Something to mark in every graph: a series is an event, its value when it happened, in seconds since 1970."""

    name: str
    colour: str
    expression: str


@dataclasses.dataclass(frozen=True)
class Dashboard:
    """A page of panels. `since` is how far back it looks, as Grafana writes it: `now-6h`."""

    uid: str
    title: str
    text: str
    since: str
    panels: tuple[Panel, ...]
    annotations: tuple[Annotation, ...]


def load(folder: Path) -> dict[str, Dashboard]:
    """The dashboards of a folder by their uid, in the order of the files. Raises DefinitionError."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            dashboard = _dashboard(json.loads(path.read_text()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DefinitionError(f"{path} is no dashboard that can be shown: {error!r}") from error
        found[dashboard.uid] = dashboard
    if not found:
        raise DefinitionError(f"{folder} holds no dashboards (*.json)")
    return found


def _dashboard(content: Mapping[str, Any]) -> Dashboard:
    return Dashboard(
        uid=content["uid"],
        title=content["title"],
        text=content.get("description", ""),
        since=content["time"]["from"],
        panels=tuple(_panel(panel) for panel in content["panels"]),
        annotations=tuple(
            Annotation(one["name"], one["iconColor"], one["expr"])
            for one in content.get("annotations", {}).get("list", ())
            if one["enable"]
        ),
    )


def _panel(content: Mapping[str, Any]) -> Panel:
    if content["type"] not in KINDS:
        raise ValueError(f"panel {content['title']!r} is of type {content['type']!r}; known are {', '.join(KINDS)}")
    defaults = content["fieldConfig"]["defaults"]
    return Panel(
        number=content["id"],
        kind=content["type"],
        title=content["title"],
        text=content.get("description", ""),
        unit=defaults["unit"],
        width=content["gridPos"]["w"],
        targets=tuple(
            Target(one["expr"], one.get("legendFormat", ""), bool(one.get("exemplar"))) for one in content["targets"]
        ),
        thresholds=tuple(
            Threshold(float("-inf") if step["value"] is None else step["value"], step["color"])
            for step in defaults.get("thresholds", {}).get("steps", ())
        ),
        is_stacked=defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal",
        top=defaults.get("max"),
    )
