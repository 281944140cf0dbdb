"""The status page: what it says, its structure, and what it lets nobody do."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api import status
from app.status.page import Release, make_report, render

HEALTH: dict[str, Any] = {
    "status": "degraded",
    "timestamp": "2026-01-02T03:04:05.678+00:00",
    "services": {
        "postgres": {"status": "up", "latencyMs": 1.234},
        "redis": {"status": "down", "detail": "connection refused"},
        "jaeger": {"status": "disabled"},
        "cache": {"status": "degraded"},
        "deduplication": {"status": "up"},
        "circuitBreaker": {"status": "degraded", "dependencies": {"postgres": "closed", "redis": "open"}},
    },
}
FIGURES: dict[str, Any] = {
    "uptime_seconds": 93784.2,
    "requests": {"count": 12345, "errors": 6, "per_second": 7.25},
    "latency_milliseconds": {"p50": 1.5, "p95": 12.4, "p99": 1234.5, "mean": 3.25},
    "tiers": {
        "l1": {"hits": 900, "misses": 100, "hit_ratio": 0.9},
        "l2": {"hits": 50, "misses": 50, "hit_ratio": 0.5},
        "l3": {"hits": 0, "misses": 0, "hit_ratio": None},
    },
    "reads": {"hit_ratio": 0.95, "stale": 3},
    "deduplicated": 11,
    "apdex": 0.987,
    "csat": None,
    "rage_retries": 2,
    "shed": 0,
    "error_budget": {"objective": 0.999, "remaining_ratio": 0.514},
}
RELEASE = Release(version="1.2.3", revision="abcdef", environment="test", replica="replica-1")
VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Element:
    """A start tag, what surrounds it, and its text."""

    tag: str
    attributes: dict[str, str | None]
    ancestors: list[Element]
    text: str = ""

    def inside(self, tag: str) -> bool:
        return any(ancestor.tag == tag for ancestor in self.ancestors)


@dataclass
class Page(HTMLParser):
    """The elements of a page; it must close what it opens."""

    html: str
    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), list(self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def value(self, key: str) -> str:
        """The text of a figure, its no-break spaces as plain ones."""
        (element,) = [element for element in self.elements if element.attributes.get("data-value") == key]
        return element.text.replace("\N{NO-BREAK SPACE}", " ")


def report(health: dict[str, Any] = HEALTH, figures: dict[str, Any] = FIGURES) -> dict[str, Any]:
    return make_report(health, figures, RELEASE)


def page(health: dict[str, Any] = HEALTH, figures: dict[str, Any] = FIGURES) -> Page:
    return Page(render(report(health, figures)))


def get(path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    app = FastAPI()
    app.include_router(status.router(report))

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            return await http.get(path, headers=headers)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("overall", "It works, with less speed or protection than usual"),
        ("time", "2026-01-02 03:04:05 UTC"),
        ("version", "1.2.3"),
        ("revision", "abcdef"),
        ("environment", "test"),
        ("replica", "replica-1"),
        ("dependency.postgres", "up"),
        ("dependency.postgres.latency", "1.23 ms"),
        ("dependency.redis", "down"),
        ("dependency.redis.latency", "–"),
        ("dependency.redis.detail", "connection refused"),
        ("dependency.jaeger", "not used"),
        ("breaker.postgres", "closed: calls go through"),
        ("breaker.redis", "open: calls are refused"),
        ("tier.l1.ratio", "90.0 %"),
        ("tier.l1.hits", "900"),
        ("tier.l2.misses", "50"),
        ("latency.p50", "1.50 ms"),
        ("latency.p95", "12 ms"),
        ("latency.p99", "1,234 ms"),
        ("latency.mean", "3.25 ms"),
        ("requests.count", "12,345"),
        ("requests.errors", "6"),
        ("requests.rate", "7.25"),
        ("reads.ratio", "95.0 %"),
        ("stale", "3"),
        ("deduplicated", "11"),
        ("apdex", "0.99"),
        ("rage", "2"),
        ("shed", "0"),
        ("budget", "51.4 %"),
        ("uptime", "1 d 2 h"),
    ],
)
def test_every_figure_is_on_the_page_in_words(key: str, text: str) -> None:
    assert page().value(key) == text


@pytest.mark.parametrize("key", ["csat", "tier.l3.ratio"])
def test_a_figure_that_nobody_knows_is_a_dash_and_not_a_zero(key: str) -> None:
    assert page().value(key) == "–"


def test_a_process_without_any_figure_has_a_page_of_dashes() -> None:
    shown = page(figures={})
    for key in ("latency.p95", "reads.ratio", "budget", "apdex", "tier.l1.hits", "requests.count", "uptime"):
        assert shown.value(key) == "–"


@pytest.mark.parametrize(
    ("health", "text"),
    [("up", "Everything works"), ("down", "Only part of it works: the database is not available")],
)
def test_the_headline_says_how_it_is(health: str, text: str) -> None:
    assert page({**HEALTH, "status": health}).value("overall") == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 min 0 s"), (59.9, "0 min 59 s"), (3599, "59 min 59 s"), (3600, "1 h 0 min")]
)
def test_times_are_readable(seconds: float, text: str) -> None:
    assert page(figures={**FIGURES, "uptime_seconds": seconds}).value("uptime") == text


def test_the_page_and_its_updates_say_the_same() -> None:
    body = json.loads(get("/api/status").text)
    shown = Page(get("/status").text)
    keys = {element.attributes["data-value"] for element in shown.elements if "data-value" in element.attributes}
    assert keys == set(body["values"])
    for key, value in body["values"].items():
        assert shown.value(key) == value["text"].replace("\N{NO-BREAK SPACE}", " ")
    assert body["status"] == "degraded"
    assert body["figures"] == FIGURES
    assert body["breakers"] == {"postgres": "closed", "redis": "open"}


def test_the_page_has_the_structure_that_screen_readers_need() -> None:
    shown = page()
    assert shown.all("html")[0].attributes["lang"] == "en"
    assert [heading.text for heading in shown.all("h1")] == ["PIDEA status"]
    assert len(shown.all("header")) == len(shown.all("main")) == len(shown.all("footer")) == 1
    identifiers = {element.attributes["id"] for element in shown.elements if "id" in element.attributes}
    for section in shown.all("section"):
        assert section.attributes["aria-labelledby"] in identifiers
    (live,) = [element for element in shown.elements if "aria-live" in element.attributes]
    assert live.attributes["aria-live"] == "polite"
    assert live.text == ""


def test_tables_have_captions_and_scopes() -> None:
    shown = page()
    assert len(shown.all("table")) == len(shown.all("caption")) == 4
    assert all(caption.text for caption in shown.all("caption"))
    for cell in shown.all("th"):
        assert cell.text
        assert cell.attributes["scope"] == ("col" if cell.inside("thead") else "row")
    for row in shown.all("tr"):
        cells = [cell for cell in shown.all("th", "td") if row in cell.ancestors]
        assert cells[0].tag == "th"
    # In every table, each row has as many cells as the head.
    for table in shown.all("table"):
        rows = [row for row in shown.all("tr") if table in row.ancestors]
        assert len({sum(row in cell.ancestors for cell in shown.all("th", "td")) for row in rows}) == 1


def test_without_javascript_the_page_says_how_to_load_it_again() -> None:
    (link,) = [link for link in page().all("a") if link.inside("noscript")]
    assert link.attributes["href"] == "/status"


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    shown = page()
    assert not shown.all("style", "img", "iframe", "form")
    for element in shown.elements:
        assert not [name for name in element.attributes if name == "style" or name.startswith("on")]
        for name in ("src", "href"):
            assert re.match(r"/[a-z]", element.attributes.get(name) or "/status"), "on this host"
    assert [script.text for script in shown.all("script")] == [""]


def walk(value: Any, text: str) -> Any:
    """The same structure with `text` for every text."""
    if isinstance(value, dict):
        return {key: walk(item, text) for key, item in value.items()}
    return text if isinstance(value, str) else value


NASTY = """</td><script>alert(1)</script><b x="'&amp;"""


@given(st.one_of(st.just(NASTY), st.text("<>&\"'/= aü\0")))
@settings(max_examples=50, deadline=None)
def test_everything_is_escaped(text: str) -> None:
    health = walk(copy.deepcopy(HEALTH), text)
    services = health["services"]
    services["<i>" + text] = {"status": text, "detail": text}
    services["circuitBreaker"]["dependencies"]["<i>" + text] = text
    html = render(make_report(health, FIGURES, Release(text, text, text, text)))
    usual = copy.deepcopy(HEALTH)
    usual["services"]["other"] = {"status": "up", "detail": ""}
    usual["services"]["circuitBreaker"]["dependencies"]["other"] = "closed"
    assert [element.tag for element in Page(html).elements] == [element.tag for element in page(usual).elements]
    assert Page(html).value("version").replace("\ufffd", "\0") == text


@pytest.mark.parametrize("path", ["/status", "/status.css", "/status.js", "/api/status"])
def test_every_answer_has_the_strict_policy(path: str) -> None:
    answer = get(path)
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "script-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/status", "/api/status"])
def test_figures_are_not_kept(path: str) -> None:
    assert get(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("path", "kind"), [("/status.css", "text/css"), ("/status.js", "text/javascript")])
def test_assets_are_sent_once(path: str, kind: str) -> None:
    first = get(path)
    assert first.headers["content-type"].startswith(kind)
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = get(path, {"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert get(path, {"If-None-Match": '"other"'}).content == first.content


def test_the_whole_page_is_small() -> None:
    assert sum(len(get(path).content) for path in ("/status", "/status.css", "/status.js")) < 20_000
