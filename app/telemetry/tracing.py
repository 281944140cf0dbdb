"""OpenTelemetry traces over OTLP/HTTP, sampled by ratio unless the caller already decided."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, Span, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from app.settings import Settings

SERVICE_NAME = "pidea-backend"
EXPORT_TIMEOUT_SECONDS = 5.0

_NO_SPAN: AbstractContextManager[Span] = nullcontext(trace.INVALID_SPAN)


class _Root(Sampler):
    """Spans without a parent: of a request always, since app.web.trace makes spans only of those it has chosen."""

    def __init__(self, ratio: float) -> None:
        self._others = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See Sampler."""
        sampler = ALWAYS_ON if kind is SpanKind.SERVER else self._others
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """See Sampler."""
        return f"chosen requests, else {self._others.get_description()}"


def configure(settings: Settings) -> TracerProvider:
    """Install the process' tracer. Without an endpoint nothing is recorded, but logs still get trace ids."""
    resource = Resource.create(
        {
            "service.name": SERVICE_NAME,
            "service.version": settings.version,
            "service.instance.id": socket.gethostname(),
            "deployment.environment.name": settings.environment,
        }
    )
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None or not settings.telemetry_enabled:
        provider = TracerProvider(sampler=ALWAYS_OFF, resource=resource, shutdown_on_exit=False)
    else:
        # Imported here: a replica without tracing does not pay for the exporter's memory.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        sampler = ParentBased(_Root(settings.trace_sampling_ratio))
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_TIMEOUT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def shut_down(provider: TracerProvider, timeout_seconds: float) -> None:
    """Export what is left, but never hold up the exit for longer than `timeout_seconds`."""
    worker = threading.Thread(target=provider.shutdown, name="trace-shutdown", daemon=True)
    worker.start()
    worker.join(timeout_seconds)


def span(name: str, attributes: Mapping[str, str]) -> AbstractContextManager[Span]:
    """A client span under the current one; next to nothing where that one is not recorded."""
    current = trace.get_current_span()
    # A child of what is not recorded would not be recorded either: spare the making of it.
    if not current.is_recording() and current.get_span_context().is_valid:
        return _NO_SPAN
    tracer = trace.get_tracer(SERVICE_NAME)
    return tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT, attributes=dict(attributes))
