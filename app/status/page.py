"""The status report, and the page that the server makes of it.

Every figure that may change has a key: the page shows it in the element whose `data-value` is the key, and the report
brings it as `values[key]`, a text ready to be shown and sometimes a state. The script only copies, so that numbers are
formatted in one place, here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

UNKNOWN = "–"
# Keeps a number and its unit on one line.
NBSP = "\N{NO-BREAK SPACE}"
HEADLINES = {
    "up": "Everything works",
    "degraded": "It works, with less speed or protection than usual",
    "down": "Only part of it works: the database is not available",
}
STATES = {"up": "up", "degraded": "degraded", "down": "down", "disabled": "not used"}
BREAKERS = {
    "closed": ("up", "closed: calls go through"),
    "half_open": ("degraded", "half open: one call tries"),
    "open": ("down", "open: calls are refused"),
}
# So many of the figures come first, as cards.
CARDS = 4
TIERS = {"l1": "L1, in the process", "l2": "L2, Redis", "l3": "L3, on disk"}


@dataclass(frozen=True, slots=True)
class Release:
    """What runs, and where."""

    version: str
    revision: str
    environment: str
    replica: str


def make_report(health: Mapping[str, Any], figures: Mapping[str, Any], release: Release) -> dict[str, Any]:
    """The body of /api/status from Health.report() and Statistics.snapshot()."""
    services = health["services"]
    dependencies = {
        name: service for name, service in services.items() if name not in ("cache", "deduplication", "circuitBreaker")
    }
    report: dict[str, Any] = {
        "status": health["status"],
        "timestamp": health["timestamp"],
        "release": {
            "version": release.version,
            "revision": release.revision,
            "environment": release.environment,
            "replica": release.replica,
        },
        "dependencies": dependencies,
        "breakers": dict(services["circuitBreaker"]["dependencies"]),
        "figures": dict(figures),
    }
    report["values"] = _values(report)
    return report


def _values(report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    figures, release = report["figures"], report["release"]
    status = report["status"]
    values = {
        "overall": {"text": HEADLINES.get(status, status), "state": status},
        "time": {"text": report["timestamp"].replace("T", " ").partition(".")[0] + " UTC"},
        "version": {"text": release["version"]},
        "revision": {"text": release["revision"]},
        "environment": {"text": release["environment"]},
        "replica": {"text": release["replica"]},
    }
    for name, check in report["dependencies"].items():
        values[f"dependency.{name}"] = {"text": STATES.get(check["status"], check["status"]), "state": check["status"]}
        values[f"dependency.{name}.latency"] = {"text": _milliseconds(check.get("latencyMs"))}
        values[f"dependency.{name}.detail"] = {"text": check.get("detail", "")}
    for name, position in report["breakers"].items():
        state, text = BREAKERS.get(position, ("degraded", position))
        values[f"breaker.{name}"] = {"text": text, "state": state}
    for tier in TIERS:
        values[f"tier.{tier}.hits"] = {"text": _count(_at(figures, "tiers", tier, "hits"))}
        values[f"tier.{tier}.misses"] = {"text": _count(_at(figures, "tiers", tier, "misses"))}
        values[f"tier.{tier}.ratio"] = {"text": _percent(_at(figures, "tiers", tier, "hit_ratio"))}
    values |= {key: {"text": text} for key, _, text in _figures(figures)}
    return values


def _figures(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Key, label and text of what stands in the cards and in the last table."""
    objective = _percent(_at(figures, "error_budget", "objective"), 2)
    return [
        ("latency.p95", "Latency, 95 % within", _milliseconds(_at(figures, "latency_milliseconds", "p95"))),
        ("reads.ratio", "Reads from the cache", _percent(_at(figures, "reads", "hit_ratio"))),
        ("budget", f"Error budget left ({objective})", _percent(_at(figures, "error_budget", "remaining_ratio"))),
        ("apdex", "Apdex, 0 to 1", _decimal(_at(figures, "apdex"))),
        ("latency.p50", "Latency, 50 % within", _milliseconds(_at(figures, "latency_milliseconds", "p50"))),
        ("latency.p99", "Latency, 99 % within", _milliseconds(_at(figures, "latency_milliseconds", "p99"))),
        ("latency.mean", "Latency, mean", _milliseconds(_at(figures, "latency_milliseconds", "mean"))),
        ("requests.rate", "Requests per second", _decimal(_at(figures, "requests", "per_second"))),
        ("requests.count", "Requests", _count(_at(figures, "requests", "count"))),
        ("requests.errors", "Requests that failed", _count(_at(figures, "requests", "errors"))),
        ("shed", "Requests refused under load", _count(_at(figures, "shed"))),
        ("deduplicated", "Reads that shared another's answer", _count(_at(figures, "deduplicated"))),
        ("stale", "Reads answered with old data", _count(_at(figures, "reads", "stale"))),
        ("csat", "Satisfied users (CSAT)", _percent(_at(figures, "csat"))),
        ("rage", "Angry retries", _count(_at(figures, "rage_retries"))),
        ("uptime", "Running for", _duration(_at(figures, "uptime_seconds"))),
    ]


def _at(figures: Mapping[str, Any], *path: str) -> float | None:
    found: Any = figures
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found if isinstance(found, int | float) else None


def _milliseconds(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.2f}{NBSP}ms" if value < 10 else f"{value:,.0f}{NBSP}ms"


def _percent(ratio: float | None, digits: int = 1) -> str:
    return UNKNOWN if ratio is None else f"{100 * ratio:.{digits}f}{NBSP}%"


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def _decimal(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}{NBSP}d {hours}{NBSP}h"
    return f"{hours}{NBSP}h {minutes}{NBSP}min" if hours else f"{minutes}{NBSP}min {rest}{NBSP}s"


def render(report: Mapping[str, Any]) -> str:
    """The page as HTML; whatever stands in the report is escaped."""
    values = report["values"]
    figures = _figures(report["figures"])
    dependencies = [_dependency(name, values) for name in report["dependencies"]]
    breakers = [_row(name, _badge(values, f"breaker.{name}")) for name in report["breakers"]]
    tiers = [
        _row(label, *(_value(values, f"tier.{tier}.{column}") for column in ("ratio", "hits", "misses")))
        for tier, label in TIERS.items()
    ]
    cards = [f"<div><dt>{escape(label)}</dt><dd>{_value(values, key)}</dd></div>" for key, label, _ in figures[:CARDS]]
    rest = [_row(label, _value(values, key)) for key, label, _ in figures[CARDS:]]
    state = escape(values["overall"].get("state", ""))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>PIDEA status</title>
<link rel="stylesheet" href="/status.css">
<script src="/status.js" defer></script>
</head>
<body>
<header>
<h1>PIDEA status</h1>
<p class="overall" data-state="{state}" data-value="overall">{escape(values["overall"]["text"])}</p>
<p class="when">As of {_value(values, "time")}</p>
<p class="notice" id="notice" role="status" aria-live="polite"></p>
<noscript><p class="when">The figures stay as they are until you <a href="/status">load them again</a>.</p></noscript>
</header>
<main>
<section aria-labelledby="glance">
<h2 id="glance">At a glance</h2>
<dl class="cards">
{"".join(cards)}
</dl>
</section>
<section aria-labelledby="dependencies">
<h2 id="dependencies">Dependencies</h2>
{_table("What the service needs or uses", ("Name", "State", "Latency", "What is wrong"), dependencies)}
{_table("Circuit breakers: they stop calls that keep failing", ("Of", "State"), breakers)}
</section>
<section aria-labelledby="cache">
<h2 id="cache">Cache</h2>
{_table("How often each tier had the answer", ("Tier", "Hit ratio", "Hits", "Misses"), tiers)}
</section>
<section aria-labelledby="figures">
<h2 id="figures">Figures</h2>
{_table("Requests and users of this replica", ("Figure", "Value"), rest)}
</section>
</main>
<footer>
<p>Version {_value(values, "version")}, revision {_value(values, "revision")},
replica {_value(values, "replica")}, {_value(values, "environment")}. <a href="/api/status">The same as JSON</a></p>
</footer>
</body>
</html>
"""


def _table(caption: str, columns: Iterable[str], rows: Iterable[str]) -> str:
    # The wrapper scrolls by itself on a narrow screen; a keyboard reaches what scrolls only if it takes the focus.
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    return (
        f'<div class="table" role="group" tabindex="0" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _dependency(name: str, values: Mapping[str, Mapping[str, str]]) -> str:
    key = f"dependency.{name}"
    return _row(name, _badge(values, key), _value(values, f"{key}.latency"), _value(values, f"{key}.detail"))


def _row(label: str, *cells: str) -> str:
    return f'<tr><th scope="row">{escape(label)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _value(values: Mapping[str, Mapping[str, str]], key: str) -> str:
    return f'<span data-value="{escape(key)}">{escape(values[key]["text"])}</span>'


def _badge(values: Mapping[str, Mapping[str, str]], key: str) -> str:
    value = values[key]
    state = escape(value["state"])
    return f'<span class="badge" data-state="{state}" data-value="{escape(key)}">{escape(value["text"])}</span>'
