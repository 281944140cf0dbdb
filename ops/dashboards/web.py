"""The pages over HTTP: Dash's, a health check, metrics, and the door for what happened."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

import flask
import pydantic
from dash import ALL, Dash, Input, Output, ctx, dcc, html, no_update
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.process_collector import ProcessCollector

from ops.dashboards import answers, layouts, log
from ops.dashboards.definitions import Dashboard
from ops.dashboards.errors import QueryError, SourceError, ViewerError
from ops.dashboards.events import Event, Events
from ops.dashboards.jaeger import Jaeger
from ops.dashboards.prometheus import Prometheus
from ops.dashboards.settings import Settings
from ops.dashboards.window import Window

_REFRESH_MILLISECONDS = 30_000
_MOST_BYTES = 4096


class Viewer:
    """Makes pages of addresses."""

    def __init__(self, settings: Settings, pages: Mapping[str, Dashboard]) -> None:
        self._settings = settings
        self._pages = pages
        self._prometheus = Prometheus(settings.prometheus_urls)
        self._jaeger = Jaeger(settings.jaeger_url)

    def show(self, path: str, query: str) -> Any:
        """The page at an address, with the way to the others. Never raises ViewerError: it is shown."""
        wanted = path.removeprefix(self._settings.base_path).strip("/")
        kind, _, name = wanted.partition("/")
        asked = {key: found[0] for key, found in urllib.parse.parse_qs(query.removeprefix("?")).items()}
        try:
            if kind == "traces" and "id" in asked:
                kind, name = "trace", asked["id"]
            page = self._page(kind, name, asked)
        except ViewerError as error:
            log.line("WARNING", str(error), path=path)
            page = layouts.problem("Nothing to show", str(error))
        current = "traces" if kind.startswith("trace") else name if kind == "d" else next(iter(self._pages))
        return [
            layouts.navigation(self._pages, self._settings.base_path, current, self._settings.environment),
            page,
        ]

    def _page(self, kind: str, name: str, asked: Mapping[str, str]) -> Any:
        if kind == "":
            kind, name = "d", next(iter(self._pages))
        if kind == "d" and name in self._pages:
            return self._dashboard(self._pages[name], asked)
        if kind == "traces":
            return self._search(asked)
        if kind == "trace":
            return layouts.trace(self._jaeger.trace(name.strip().lower()))
        raise QueryError("There is no such page; choose one above.")

    def _dashboard(self, page: Dashboard, asked: Mapping[str, str]) -> Any:
        since = asked.get("from", page.since)
        until = asked.get("to", "now")
        window = self._window(since, until)
        found, marks = answers.ask(self._prometheus, page, window)
        made = f"{time.time():.3f}" if until == "now" else ""
        return layouts.dashboard(page, found, marks, window, self._settings.base_path, since, made)

    def _search(self, asked: Mapping[str, str]) -> Any:
        services = self._jaeger.services()
        if not services:
            raise SourceError("Jaeger has no traces yet. They come with requests; pidea:tracing has their share.")
        chosen = asked.get("service") or services[0]
        since, at_least = asked.get("from", "now-1h"), asked.get("at_least_ms", "")
        if at_least and not at_least.isdecimal():
            raise QueryError(f"at_least_ms={at_least} is no whole number of milliseconds")
        window = self._window(since, asked.get("to", "now"))
        found = self._jaeger.search(
            chosen, start=window.start, end=window.end, at_least_seconds=int(at_least or 0) / 1000
        )
        return layouts.search(services, chosen, found, self._settings.base_path, at_least, since)

    def _window(self, since: str, until: str) -> Window:
        return Window.parse(since, until, time.time(), self._settings.scrape_interval_seconds)


def make(settings: Settings, pages: Mapping[str, Dashboard]) -> flask.Flask:
    """The WSGI application."""
    viewer = Viewer(settings, pages)
    app = Dash(
        "ops.dashboards",
        url_base_pathname=settings.base_path,
        title=f"PIDEA dashboards ({settings.environment})",
        update_title="",
        suppress_callback_exceptions=True,
    )
    server: flask.Flask = app.server
    server.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    app.layout = html.Div(
        [
            dcc.Location(id="address", refresh="callback-nav"),
            dcc.Interval(id="refresh", interval=_REFRESH_MILLISECONDS),
            # Shown by assets/stale.js.
            html.P(
                "These figures are old: the viewer does not answer any more.", id="stale", role="alert", hidden=True
            ),
            html.Div("One moment …", id="page"),
        ]
    )

    @app.callback(
        Output("page", "children"),
        Input("address", "pathname"),
        Input("address", "search"),
        Input("refresh", "n_intervals"),
    )
    def show(path: str, query: str | None, _: int | None) -> Any:
        # A trace does not change, and who reads its spans has some of them open.
        if ctx.triggered_id == "refresh" and path.startswith(f"{settings.base_path}trace"):
            return no_update
        return viewer.show(path, query or "")

    @app.callback(
        Output("address", "href"),
        Input({"type": "graph", "panel": ALL}, "clickData"),
        prevent_initial_call=True,
    )
    def follow(_: Any) -> Any:
        """A dot of a graph leads to its trace."""
        clicked = ctx.triggered[0]["value"] if ctx.triggered else None
        traces = [point["customdata"] for point in (clicked or {}).get("points", ()) if "customdata" in point]
        return f"{settings.base_path}trace/{traces[0]}" if traces else no_update

    _plain_routes(server, settings)
    _headers(server, app)
    return server


def _plain_routes(server: flask.Flask, settings: Settings) -> None:
    events = Events()
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(events)

    @server.get("/metrics")
    def metrics() -> flask.Response:
        return flask.Response(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")

    @server.get(f"{settings.base_path}healthz")
    def healthz() -> flask.Response:
        return flask.Response("ok\n", content_type="text/plain")

    @server.post(f"{settings.base_path}api/events")
    def tell() -> flask.Response:
        # A browser that is logged in must not be made to tell something by another site's form.
        if flask.request.mimetype != "application/json":
            return _refused(415, "Send application/json.")
        try:
            events.add(Event.model_validate_json(flask.request.get_data(as_text=True)[:_MOST_BYTES]))
        except pydantic.ValidationError as error:
            found = error.errors(include_url=False, include_context=False)[0]
            return _refused(400, f"{'.'.join(str(one) for one in found['loc']) or 'body'}: {found['msg']}")
        return flask.Response(status=204)


def _headers(server: flask.Flask, app: Dash) -> None:
    """A page may load what is served beside it, and nothing from elsewhere; nobody may frame it."""
    scripts = " ".join(app.csp_hashes())
    policy = (
        # Plotly writes styles into the page, and draws images of its own.
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )

    @server.after_request
    def headers(response: flask.Response) -> flask.Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _refused(status: int, text: str) -> flask.Response:
    return flask.Response(f"{text}\n", status=status, content_type="text/plain")
