"""The edge: what comes in, what the replicas answer, what ends at the edge itself."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Limits, PanelBuilder, Query, Unit, figure, lines, or_none, page
from infra.settings import StackSettings

_PUBLIC = 'proxy="public"'


def page_of(settings: StackSettings) -> Dashboard:
    """With TLS, also how long the certificate lasts."""
    certificate = _certificate() if settings.edge.tls else ()
    return page("edge", "Edge", "HAProxy, the one way in for users and operators.", [*_traffic(), *certificate])


def _traffic() -> Iterator[PanelBuilder]:
    yield figure(
        "Replicas in use",
        "Replicas of the application that the edge finds healthy.",
        Unit.COUNT,
        Query('max(haproxy_backend_active_servers{proxy="app"})', "replicas"),
        limits=Limits(2, 1),
        width=8,
    )
    yield figure(
        "Connections taken",
        "Of those that the edge allows. At 100 % users cannot connect.",
        Unit.RATIO,
        Query(
            f"max(haproxy_frontend_current_sessions{{{_PUBLIC}}} / haproxy_frontend_limit_sessions{{{_PUBLIC}}})",
            "taken",
        ),
        limits=Limits(0.5, 0.8),
        width=8,
    )
    yield figure(
        "Ended at the edge",
        "Errors that no replica answered, as a part of all requests.",
        Unit.RATIO,
        Query("max(job:haproxy_own_errors:ratio_rate5m) or vector(0)", "errors"),
        limits=Limits(0.001, 0.01),
        width=8,
    )
    yield lines(
        "Answers by class",
        "Of the users' port.",
        Unit.REQUESTS_PER_SECOND,
        Query(
            f"sum by (code) (rate(haproxy_frontend_http_responses_total{{{_PUBLIC}}}[$__rate_interval]))", "{{code}}"
        ),
        stacked=True,
    )
    yield lines(
        "Requests by replica",
        "How the edge shares them out.",
        Unit.REQUESTS_PER_SECOND,
        Query(
            or_none(
                'sum by (server) (rate(haproxy_server_http_responses_total{proxy="app"}[$__rate_interval])) > 0',
                "server",
            ),
            "{{server}}",
        ),
        stacked=True,
    )
    yield lines(
        "Time of the application",
        "Until the answer begins, mean of each replica's last 1024; and what they waited for a connection.",
        Unit.SECONDS,
        Query(
            or_none('max by (server) (haproxy_server_response_time_average_seconds{proxy="app"}) > 0', "server"),
            "{{server}}",
        ),
        Query('max(haproxy_backend_queue_time_average_seconds{proxy="app"})', "queue"),
    )
    yield lines(
        "Connections",
        "Open connections by port.",
        Unit.COUNT,
        Query("sum by (proxy) (haproxy_frontend_current_sessions)", "{{proxy}}"),
    )
    yield lines(
        "Failed and tried again",
        "Connections to replicas that failed, and requests that were sent to another one instead.",
        Unit.PER_SECOND,
        Query('sum(rate(haproxy_server_connection_errors_total{proxy="app"}[$__rate_interval]))', "failed"),
        Query('sum(rate(haproxy_server_redispatch_warnings_total{proxy="app"}[$__rate_interval]))', "sent elsewhere"),
        Query('sum(rate(haproxy_server_check_failures_total{proxy="app"}[$__rate_interval]))', "checks failed"),
    )
    yield lines(
        "Traffic",
        "Of the users' port.",
        Unit.BYTES_PER_SECOND,
        Query(f"sum(rate(haproxy_frontend_bytes_in_total{{{_PUBLIC}}}[$__rate_interval]))", "in"),
        Query(f"sum(rate(haproxy_frontend_bytes_out_total{{{_PUBLIC}}}[$__rate_interval]))", "out"),
    )


def _certificate() -> Iterator[PanelBuilder]:
    yield lines(
        "Days of the certificate",
        "After its end every client refuses to talk to the edge. `./pidea certificate` sets another one.",
        Unit.COUNT,
        Query("(probe_ssl_earliest_cert_expiry - time()) / 86400", "{{instance}}"),
    )
