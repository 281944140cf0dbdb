"""Panels and dashboards with what all of ours have in common. Thin over Grafana's own builders."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.builders import stat as stat_builders
from grafana_foundation_sdk.builders import table as table_builders
from grafana_foundation_sdk.builders import timeseries as timeseries_builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard, prometheus

# The names that the data sources are provisioned under, wherever the dashboards are shown.
PROMETHEUS = dashboard.DataSourceRef(type_val="prometheus", uid="prometheus")
_HEIGHT = 8
_STAT_HEIGHT = 4

PanelBuilder = Builder[dashboard.Panel]


class Unit(enum.StrEnum):
    """Grafana's names of the units that are used."""

    SECONDS = "s"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    RATIO = "percentunit"
    REQUESTS_PER_SECOND = "reqps"
    PER_SECOND = "ops"
    COUNT = "short"


@dataclasses.dataclass(frozen=True)
class Query:
    """PromQL, and what a series of it is called: text with labels in braces, `{{instance}}`.

    With `exemplars` single requests are drawn too, each with a link to its trace.
    """

    expression: str
    legend: str
    exemplars: bool = False


@dataclasses.dataclass(frozen=True)
class Limits:
    """From which value on something is bad. Where `bad` is below `warn`, less is worse."""

    warn: float
    bad: float

    def steps(self) -> list[dashboard.Threshold]:
        """The colours from the lowest value to the highest; the first has no lower end."""
        if self.bad < self.warn:
            return [_step(None, "red"), _step(self.bad, "orange"), _step(self.warn, "green")]
        if self.bad == self.warn:
            return [_step(None, "green"), _step(self.bad, "red")]
        return [_step(None, "green"), _step(self.warn, "orange"), _step(self.bad, "red")]


def or_none(expression: str, label: str) -> str:
    """The series of `expression`; while there is none, a zero called `none`: events that never were are no gap."""
    return f'{expression} or on () label_replace(vector(0), "{label}", "none", "", "")'


def lines(
    title: str, text: str, unit: Unit, *queries: Query, width: int = 12, stacked: bool = False, top: float | None = None
) -> PanelBuilder:
    """Values over time. `text` says what is normal and what is not; `top` is the highest value that there can be."""
    panel = timeseries_builders.Panel().title(title).description(text).datasource(PROMETHEUS).unit(unit)
    panel.span(width).height(_HEIGHT).min(0).fill_opacity(40 if stacked else 8).show_points(common.VisibilityMode.NEVER)
    panel.legend(
        common_builders.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if top is not None:
        panel.max(top)
    for number, query in enumerate(queries):
        panel.with_target(_target(query, number).range())
    return panel


def figure(
    title: str, text: str, unit: Unit, query: Query, *, limits: Limits | None = None, width: int = 4
) -> PanelBuilder:
    """One number, or one for each series: the last one."""
    panel = stat_builders.Panel().title(title).description(text).datasource(PROMETHEUS).unit(unit)
    panel.span(width).height(_STAT_HEIGHT).graph_mode(common.BigValueGraphMode.NONE)
    panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    if limits is not None:
        panel.color_mode(common.BigValueColorMode.BACKGROUND)
        panel.thresholds(
            dashboard_builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(limits.steps())
        )
    return panel.with_target(_target(query, 0).instant())


def rows(title: str, text: str, unit: Unit, query: Query, *, width: int = 12) -> PanelBuilder:
    """A table of what is now: a row for each series, with its labels and its value."""
    panel = table_builders.Panel().title(title).description(text).datasource(PROMETHEUS).unit(unit)
    panel.span(width).height(_HEIGHT)
    return panel.with_target(_target(query, 0).instant().format(prometheus.PromQueryFormat.TABLE))


def page(
    uid: str, title: str, text: str, panels: Sequence[PanelBuilder], *, since: str = "now-1h"
) -> dashboard_builders.Dashboard:
    """A dashboard. `uid` is its address and never changes."""
    made = (
        dashboard_builders.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags(["pidea"])
        .readonly()
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time(since, "now")
        .refresh("30s")
        .annotations(_annotations())
    )
    for number, panel in enumerate(panels, start=1):
        panel.build().id_val = number
        made.with_panel(panel)
    return made


def _annotations() -> list[Builder[dashboard.AnnotationQuery]]:
    # An event is told for some scrapes only; a point of a graph stands for its whole interval.
    told = 'last_over_time(pidea_event_timestamp_seconds{kind="%s"}[$__interval])'
    return [
        dashboard_builders.AnnotationQuery()
        .name(name)
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color(colour)
        .expr(told % kind)
        for name, kind, colour in (("Deployments", "deployment", "blue"), ("Chaos", "chaos", "red"))
    ]


def _step(value: float | None, colour: str) -> dashboard.Threshold:
    return dashboard.Threshold(value=value, color=colour)


def _target(query: Query, number: int) -> prometheus_builders.Dataquery:
    return (
        prometheus_builders.Dataquery()
        .ref_id(chr(ord("A") + number))
        .datasource(PROMETHEUS)
        .expr(query.expression)
        .legend_format(query.legend)
        .exemplar(query.exemplars)
    )
