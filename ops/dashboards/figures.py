"""Answers as Plotly's figures: plain data, drawn by the browser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ops.dashboards.answers import Answer, Mark, Named
from ops.dashboards.jaeger import Span, Trace
from ops.dashboards.values import Scale, scale
from ops.dashboards.window import Window

Figure = dict[str, Any]

_TEXT = "#d8d9da"
_FAINT = "#2c3235"
_ERROR = "#f2495c"
# What Grafana makes of these names, seen on a dark ground.
_MARKS = {"blue": "#5794f2", "red": _ERROR}
# Told apart on a dark ground, by people who see colours differently too (after Okabe and Ito).
_COLOURS = ("#56b4e9", "#e69f00", "#33c497", "#f0e442", "#d982b5", "#ff7f4d", "#7f9cf5", "#b0b0b0")
_HEIGHT = 280
_ROW_HEIGHT = 24
_NAME_LENGTH = 48
# Of the names below a graph: this many are in one line, and each two more take another.
_IN_ONE_LINE = 4
_LEGEND_HEIGHT = 9
_DAY_SECONDS = 86400
# More would keep a browser busy for minutes; the first ones say where the time went.
MOST_SPANS = 250


def graph(answer: Answer, marks: Sequence[Mark], window: Window) -> Figure:
    """A graph over time, with exemplars as dots and marks as vertical lines."""
    panel = answer.panel
    seen = [value for one in answer.series for _, value in one.series.points if math.isfinite(value)]
    measure = scale(panel.unit, max((abs(value) for value in seen), default=0.0))
    traces = [_line(one, measure, number, stacked=panel.is_stacked) for number, one in enumerate(answer.series)]
    if answer.exemplars:
        traces.append(_dots(answer, measure))
    top = {} if panel.top is None else {"range": [0, panel.top / measure.factor * 1.03]}
    layout = {
        **_layout(),
        "hovermode": "x unified",
        "showlegend": True,
        "height": _HEIGHT + _LEGEND_HEIGHT * max(0, len(traces) - _IN_ONE_LINE),
        "legend": {"orientation": "h", "y": -0.12, "yanchor": "top", "font": {"size": 11}},
        "xaxis": {
            **_axis(),
            "type": "date",
            "range": [_time(window.start), _time(window.end)],
            "tickformat": "%H:%M" if window.end - window.start <= _DAY_SECONDS else "%d %b %H:%M",
        },
        "yaxis": {**_axis(), "rangemode": "tozero", "ticksuffix": measure.suffix, **top},
        "shapes": [_rule(mark) for mark in marks],
        "annotations": [_flag(mark) for mark in marks],
    }
    return {"data": traces, "layout": layout}


def waterfall(trace: Trace) -> Figure:
    """A bar for each span: where it stands is when, how long it is is how long."""
    measure = scale("s", trace.duration_seconds)
    spans = trace.spans[:MOST_SPANS]
    services = list(dict.fromkeys(span.service for span in spans))
    rows = list(range(len(spans)))
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": rows,
        "base": [span.start_seconds / measure.factor for span in spans],
        # A span that took no time can be seen too.
        "x": [max(span.duration_seconds, trace.duration_seconds / 500) / measure.factor for span in spans],
        "marker": {
            "color": [
                _ERROR if span.is_error else _COLOURS[services.index(span.service) % len(_COLOURS)] for span in spans
            ]
        },
        "text": [scale("s", span.duration_seconds).text(span.duration_seconds) for span in spans],
        "textposition": "auto",
        "insidetextfont": {"color": "#111217"},
        "hovertext": [
            f"{span.service}: {span.operation}<br>starts at {measure.text(span.start_seconds)}, "
            f"takes {scale('s', span.duration_seconds).text(span.duration_seconds)}"
            for span in spans
        ],
        "hoverinfo": "text",
    }
    layout = {
        **_layout(),
        "height": _ROW_HEIGHT * len(rows) + 80,
        "margin": {"l": 380, "r": 20, "t": 36, "b": 16},
        "showlegend": False,
        "bargap": 0.3,
        "xaxis": {
            **_axis(),
            "side": "top",
            "ticksuffix": measure.suffix,
            "range": [0, trace.duration_seconds * 1.08 / measure.factor],
        },
        "yaxis": {
            **_axis(),
            "tickvals": rows,
            "ticktext": [_name(span) for span in spans],
            "range": [len(rows) - 0.5, -0.5],
            "tickfont": {"size": 12, "family": "monospace"},
        },
    }
    return {"data": [bars], "layout": layout}


def _name(span: Span) -> str:
    """What a row is called, further to the right the deeper it is within others; Plotly sets labels flush right."""
    text = "\N{NO-BREAK SPACE}" * 2 * min(span.depth, 8) + span.operation
    cut = text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 1]}…"
    return cut.ljust(_NAME_LENGTH, "\N{NO-BREAK SPACE}")


def _line(one: Named, measure: Scale, number: int, *, stacked: bool) -> dict[str, Any]:
    colour = _COLOURS[number % len(_COLOURS)]
    drawn = sum(math.isfinite(value) for _, value in one.series.points)
    return {
        "type": "scatter",
        # What has just begun is one point, and a line through one point cannot be seen.
        "mode": "lines" if drawn > 1 else "markers",
        "marker": {"color": colour, "size": 5},
        "name": one.name,
        "x": [_time(timestamp) for timestamp, _ in one.series.points],
        "y": [value / measure.factor if math.isfinite(value) else None for _, value in one.series.points],
        "line": {"color": colour, "width": 1.5},
        "hovertemplate": f"%{{y:.3~g}}{measure.suffix}",
        **({"stackgroup": "all"} if stacked else {}),
    }


def _dots(answer: Answer, measure: Scale) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "requests",
        "x": [_time(one.timestamp) for one in answer.exemplars],
        "y": [one.value / measure.factor for one in answer.exemplars],
        "customdata": [one.trace_id for one in answer.exemplars],
        "marker": {"color": _TEXT, "size": 6, "symbol": "diamond"},
        "hovertemplate": f"%{{y:.3~g}}{measure.suffix} trace %{{customdata}}",
    }


def _rule(mark: Mark) -> dict[str, Any]:
    when = _time(mark.timestamp)
    line = {"color": _MARKS.get(mark.colour, mark.colour), "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "x", "x0": when, "x1": when, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _flag(mark: Mark) -> dict[str, Any]:
    return {
        **{"x": _time(mark.timestamp), "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom"},
        **{"text": "▼", "showarrow": False, "font": {"color": _MARKS.get(mark.colour, mark.colour), "size": 12}},
        "hovertext": mark.text,
    }


def _layout() -> dict[str, Any]:
    return {
        "height": _HEIGHT,
        "margin": {"l": 64, "r": 12, "t": 16, "b": 28},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": _TEXT, "size": 12},
        "hoverlabel": {"bgcolor": "#111217", "font": {"color": _TEXT}},
        # What a reader has zoomed to or hidden stays when the figures are loaded again.
        "uirevision": "kept",
    }


def _axis() -> dict[str, Any]:
    return {"gridcolor": _FAINT, "zerolinecolor": _FAINT, "linecolor": _FAINT, "fixedrange": False}


def _time(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
