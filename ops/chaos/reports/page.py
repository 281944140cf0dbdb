"""One page that needs nothing else: each run's timeline as a drawing, its figures and its verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ops.chaos.goals import FIGURES, shown

_WIDTH, _LEFT, _ROW, _PLOT = 1100.0, 150.0, 16.0, 90.0
_COLOURS = {
    "master": "#1f77b4",
    "primary": "#1f77b4",
    "primary without replicas": "#d98c00",
    "primary without standbys": "#d98c00",
    "slave": "#b9cde0",
    "standby": "#b9cde0",
}
_STORES = {"redis": "#1f77b4", "sticky": "#9467bd", "postgres": "#2ca02c"}
_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #222; }
h2 { margin-top: 2.5em; border-top: 1px solid #ccc; padding-top: 1em; }
table { border-collapse: collapse; } td, th { padding: .15em .8em .15em 0; text-align: left; vertical-align: top; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; }
.held { color: #176b2c; } .broken { color: #b00020; font-weight: bold; }
"""


def of(report: Mapping[str, Any]) -> str:
    """The report as HTML."""
    body = "".join(_run(number, run) for number, run in enumerate(report["runs"], 1))
    contents = "".join(
        f'<li><a href="#run-{number}">{escape(run["scenario"])} ({run["repeat"]})</a> {_verdict(run)}</li>'
        for number, run in enumerate(report["runs"], 1)
    )
    title = f"Chaos: {report['stack']}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{len(report['runs'])} runs on {report['processors']} processors.</p><ol>{contents}</ol>{body}"
        "</body></html>\n"
    )


def _run(number: int, run: Mapping[str, Any]) -> str:
    reasons = "".join(f'<li class="broken">{escape(reason)}</li>' for reason in run["reasons"])
    rows = "".join(
        f"<tr><td>{escape(figure.title)}</td><td>{escape(shown(name, run['figures'].get(name)))}</td>"
        f"<td>{escape('≤ ' + shown(name, run['limits'][name])) if name in run['limits'] else ''}</td></tr>"
        for name, figure in FIGURES.items()
    )
    errors = "".join(
        f"<tr><td>{count}</td><td>{escape(what)}</td></tr>" for what, count in run["timeline"]["errors"].items()
    )
    seen = f"<details><summary>Errors that clients saw</summary><table>{errors}</table></details>" if errors else ""
    return (
        f'<h2 id="run-{number}">{escape(run["scenario"])} ({run["repeat"]})</h2>'
        f"<p>{escape(run['summary'])}. {escape(run['begin'])}. {_verdict(run)}</p>"
        f"<p>Done: {escape(run['timeline']['fault']['what'])}</p><ul>{reasons}</ul>{drawing(run['timeline'])}"
        f"<table><tr><th>figure</th><th>measured</th><th>asked</th></tr>{rows}</table>{seen}"
    )


def _verdict(run: Mapping[str, Any]) -> str:
    return '<span class="held">held</span>' if run["held"] else '<span class="broken">did not hold</span>'


def drawing(timeline: Mapping[str, Any]) -> str:
    """The timeline as SVG: the fault, roles, writes a second, failed requests and latency, one below the other."""
    seconds = max(1.0, float(timeline["seconds"]))

    def x(second: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT) * min(max(second, 0.0), seconds) / seconds, 1)

    parts: list[str] = []
    members = list(dict.fromkeys(span["member"] for span in timeline["roles"]))
    y = 20.0
    for member in members:
        parts.append(f'<text x="0" y="{y + 11}">{escape(member)}</text>')
        for span in (one for one in timeline["roles"] if one["member"] == member):
            width = max(1.5, x(span["end"]) - x(span["begin"]))
            parts.append(
                f'<rect x="{x(span["begin"])}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 4}" '
                f'fill="{_COLOURS.get(span["role"], _of_name(span["role"]))}"><title>{escape(member)}: '
                f"{escape(span['role'])}, {span['begin']} to {span['end']} s</title></rect>"
            )
        y += _ROW
    for title, drawn in _plots(timeline, x):
        y += 14
        parts.append(f'<text x="0" y="{y + 11}">{escape(title)}</text><g transform="translate(0 {y:.0f})">{drawn}</g>')
        y += _PLOT
    return (
        f'<svg class="timeline" viewBox="0 0 {_WIDTH:.0f} {y + 24:.0f}" role="img" aria-label="timeline">'
        f"{_fault(timeline['fault'], x, y)}{''.join(parts)}{_axis(seconds, x, y)}</svg>"
    )


def _of_name(role: str) -> str:
    """A sentinel's row changes its colour with the member that it names."""
    greens = ("#7bbf8e", "#3d8f57", "#c7e3cf", "#1f5f33", "#a3d5b1")
    return greens[int(role[-1]) % len(greens)] if role[-1:].isdigit() else "#7bbf8e"


def _fault(fault: Mapping[str, Any], x: Any, height: float) -> str:
    begin, end = x(fault["begin"]), x(fault["end"])
    drawn = (
        f'<rect class="fault" x="{begin}" y="0" width="{max(1.5, end - begin):.1f}" height="{height:.0f}" '
        f'fill="#ffd9d9"><title>{escape(fault["what"])}</title></rect>'
    )
    if fault["recovered"] is not None:
        whole = x(fault["recovered"])
        drawn += (
            f'<line x1="{whole}" x2="{whole}" y1="0" y2="{height:.0f}" stroke="#176b2c" stroke-dasharray="4 3"/>'
            f'<text x="{whole + 3}" y="12" fill="#176b2c">whole again</text>'
        )
    return drawn + f'<text x="{begin + 2}" y="12" fill="#b00020">fault</text>'


def _axis(seconds: float, x: Any, y: float) -> str:
    step = 5 if seconds <= 120 else 30
    return "".join(
        f'<text x="{x(second)}" y="{y + 18}" text-anchor="middle">{second} s</text>'
        for second in range(0, int(seconds) + 1, step)
    )


def _plots(timeline: Mapping[str, Any], x: Any) -> Iterable[tuple[str, str]]:
    writes, requests = timeline["writes"], timeline["requests"]
    for store, colour in _STORES.items():
        done: dict[int, int] = {}
        failed: dict[int, int] = {}
        for cell in writes:
            if cell["store"] == store:
                second = cell["second"]
                done[second] = done.get(second, 0) + cell["acknowledged"] + cell["accepted"]
                failed[second] = failed.get(second, 0) + cell["failed"]
        if done:
            yield f"{store} writes / s", _bars(done, colour, x) + _bars(failed, "#b00020", x, max(done.values()))
    failures: dict[int, int] = {}
    slowest: dict[int, float] = {}
    for cell in requests:
        second = cell["second"]
        failures[second] = failures.get(second, 0) + cell["failed"]
        slowest[second] = max(slowest.get(second, 0.0), cell["max_ms"])
    if slowest:
        yield "failed requests / s", _bars(failures, "#b00020", x)
        yield "slowest request, ms", _bars(slowest, "#7f7f7f", x)


def _bars(values: Mapping[int, float], colour: str, x: Any, highest: float = 0.0) -> str:
    top = max(highest, *values.values(), 1.0)
    width = max(1.0, x(1) - x(0) - 1)
    bars = "".join(
        f'<rect x="{x(second)}" y="{_PLOT - _PLOT * value / top:.1f}" width="{width:.1f}" '
        f'height="{_PLOT * value / top:.1f}" fill="{colour}"><title>second {second}: {value:g}</title></rect>'
        for second, value in sorted(values.items())
        if value
    )
    return f'{bars}<text x="{_LEFT - 6}" y="10" text-anchor="end">{top:,.0f}</text>'
