"""Pages as Dash's components. What they show has been asked before; nothing in here asks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dash import dcc, html

from ops.dashboards import figures, values
from ops.dashboards.answers import Answer, Mark
from ops.dashboards.definitions import Dashboard, Panel
from ops.dashboards.jaeger import Trace
from ops.dashboards.window import Window

Component = Any

_RANGES = ("15m", "1h", "6h", "24h", "7d", "14d")
_SLOWEST = 3
_NO_TOOLS: Any = {"displayModeBar": False, "responsive": True}


def navigation(pages: Mapping[str, Dashboard], base_path: str, current: str, environment: str) -> Component:
    """The way to every page."""
    links = [(f"{base_path}d/{uid}", page.title, uid) for uid, page in pages.items()]
    links.append((f"{base_path}traces", "Traces", "traces"))
    return html.Nav(
        [html.Strong(f"PIDEA {environment}"), *(_link(url, title, uid == current) for url, title, uid in links)],
        **_attributes("aria-label", "Dashboards"),
    )


def dashboard(
    page: Dashboard,
    answers: Sequence[Answer],
    marks: Sequence[Mark],
    window: Window,
    base_path: str,
    since: str,
    made: str,
) -> Component:
    """A dashboard: its panels in their order, on a grid of 24 columns.

    `made` differs each time that it is loaded again; empty where it looks at the past alone, which does not change.
    """
    here = f"{base_path}d/{page.uid}"
    return html.Main(
        [
            html.Header(
                [
                    html.H1(page.title),
                    html.P(page.text),
                    html.Div(
                        [_link(f"{here}?from=now-{one}", one, since == f"now-{one}") for one in _RANGES],
                        className="ranges",
                    ),
                    html.P(f"{_moment(window.start)} to {_moment(window.end)} UTC", className="faint"),
                ]
            ),
            *_marked(marks),
            html.Div([_panel(answer, marks, window, base_path) for answer in answers], className="grid"),
        ],
        **_attributes("data-made", made),
    )


def problem(title: str, text: str) -> Component:
    """One message in place of a page."""
    return html.Main([html.H1(title), html.P(text, role="alert", className="problem")])


def search(
    services: Sequence[str], chosen: str, found: Sequence[Trace], base_path: str, at_least: str, since: str
) -> Component:
    """The newest traces of a service, and a form for others."""
    form = html.Form(
        [
            html.Label(["Trace id ", dcc.Input(name="id", type="text", size="34")]),
            html.Label(["Service ", dcc.Input(name="service", type="text", value=chosen)]),
            html.Label(["At least ms ", dcc.Input(name="at_least_ms", type="text", value=at_least, size="6")]),
            html.Label(["Since ", dcc.Input(name="from", type="text", value=since, size="8")]),
            html.Button("Show", type="submit"),
        ],
        method="GET",
        action=f"{base_path}traces",
    )
    table = _table(
        ("Started (UTC)", "What", "Spans", "Took", ""),
        [
            (
                html.A(_moment(one.timestamp), href=f"{base_path}trace/{one.trace_id}"),
                one.spans[0].operation,
                str(len(one.spans)),
                values.text("s", one.duration_seconds),
                "failed" if one.has_error else "",
            )
            for one in found
        ],
    )
    nothing = html.P(f"No traces of {chosen} in this time.", className="faint")
    known = html.P(["Services: ", *(_link(f"{base_path}traces?service={one}", one, one == chosen) for one in services)])
    return html.Main([html.H1("Traces"), known, form, table if found else nothing])


def trace(shown: Trace) -> Component:
    """A trace as a waterfall, and every span's tags below."""
    return html.Main(
        [
            html.Header(
                [
                    html.H1(f"Trace {shown.trace_id}"),
                    html.P(
                        f"{shown.spans[0].operation}: {len(shown.spans)} spans, "
                        f"{values.text('s', shown.duration_seconds)}, from {_moment(shown.timestamp)} UTC"
                        f"{', with an error' if shown.has_error else ''}"
                    ),
                    html.P(f"What was logged about it: ./pidea logs STACK --trace {shown.trace_id}", className="faint"),
                ]
            ),
            dcc.Graph(figure=figures.waterfall(shown), config=_NO_TOOLS, className="waterfall"),
            *_cut(shown),
            html.H2("Spans"),
            *(
                html.Details(
                    [
                        html.Summary(
                            f"{span.operation} ({span.service}) at {values.text('s', span.start_seconds)}, "
                            f"{values.text('s', span.duration_seconds)}{' — failed' if span.is_error else ''}"
                        ),
                        html.Pre("\n".join(f"{key} = {value}" for key, value in span.tags)),
                    ]
                )
                for span in shown.spans[: figures.MOST_SPANS]
            ),
        ]
    )


def _cut(shown: Trace) -> list[Component]:
    left = len(shown.spans) - figures.MOST_SPANS
    return [html.P(f"{left} more spans are not shown.", className="faint")] if left > 0 else []


def _panel(answer: Answer, marks: Sequence[Mark], window: Window, base_path: str) -> Component:
    panel = answer.panel
    if answer.problem:
        inside: Component = html.P(answer.problem, role="alert", className="problem")
    elif not answer.series:
        inside = html.P("Nothing was measured in this time.", className="faint empty")
    elif panel.kind == "timeseries":
        graph = dcc.Graph(
            id={"type": "graph", "panel": panel.number},
            figure=figures.graph(answer, marks, window),
            config=_NO_TOOLS,
        )
        inside = [graph, *_slowest(answer, base_path)]
    elif panel.kind == "stat":
        inside = html.Div(
            [_figure(panel, one.name, one.series.points[-1][1], len(answer.series)) for one in answer.series],
            className="figures",
        )
    else:
        inside = _series_table(answer)
    return html.Section(
        [html.H2(panel.title, title=panel.text), html.P(panel.text, className="about"), html.Div(inside)],
        className=f"panel {panel.kind}",
        style={"gridColumn": f"span {panel.width}"},
        **_attributes("data-panel", str(panel.number)),
    )


def _figure(panel: Panel, name: str, value: float, count: int) -> Component:
    colour = next((step.colour for step in reversed(panel.thresholds) if value >= step.value), "none")
    shown = "no value" if math.isnan(value) else values.text(panel.unit, value)
    label = [html.Small(name)] if count > 1 else []
    return html.Div([html.Span(shown), *label], className=f"figure {'none' if math.isnan(value) else colour}")


def _series_table(answer: Answer) -> Component:
    columns = list(dict.fromkeys(key for one in answer.series for key in one.series.labels if key != "__name__"))
    rows = [
        (
            *(one.series.labels.get(column, "") for column in columns),
            values.text(answer.panel.unit, one.series.points[-1][1]),
        )
        for one in answer.series
    ]
    return _table((*columns, "value"), sorted(rows))


def _slowest(answer: Answer, base_path: str) -> list[Component]:
    """Links to the traces of the slowest requests among the exemplars."""
    slowest = sorted(answer.exemplars, key=lambda one: one.value, reverse=True)[:_SLOWEST]
    if not slowest:
        return []
    links = [
        html.A(values.text("s", one.value), href=f"{base_path}trace/{one.trace_id}", title=one.trace_id)
        for one in slowest
    ]
    return [html.P(["Slowest traces: ", *_between(links)], className="traces")]


def _marked(marks: Sequence[Mark]) -> list[Component]:
    if not marks:
        return []
    told = [
        html.Li([html.Time(_moment(mark.timestamp)), f" {mark.text}"], className=mark.colour)
        for mark in reversed(marks[-5:])
    ]
    return [html.Ul(told, className="marks", **_attributes("aria-label", "What happened"))]


def _attributes(name: str, value: str) -> Any:
    """One whose name is no identifier."""
    return {name: value}


def _between(items: Sequence[Component]) -> Iterable[Component]:
    for number, item in enumerate(items):
        yield from (", ", item) if number else (item,)


def _table(head: Sequence[str], rows: Sequence[Sequence[Component]]) -> Component:
    return html.Table(
        [
            html.Thead(html.Tr([html.Th(one) for one in head])),
            html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in rows]),
        ]
    )


def _link(url: str, text: str, is_current: bool) -> Component:
    return dcc.Link(text, href=url, className="current" if is_current else "")


def _moment(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S")
