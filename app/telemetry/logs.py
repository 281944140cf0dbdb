"""Structured logs: one JSON object a line on stdout, with the ids of the trace they belong to."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace

from app.events import BreakerChanged, BreakerState, CacheFailed, Event, RequestFinished

access_log = logging.getLogger("app.access")
events_log = logging.getLogger("app.events")


class JsonFormatter(logging.Formatter):
    """Fixed keys first, then those passed as `extra={"fields": {...}}`."""

    def __init__(self, **constant: str) -> None:
        super().__init__()
        self._constant = constant

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        entry: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._constant,
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            entry["trace_id"] = trace.format_trace_id(context.trace_id)
            entry["span_id"] = trace.format_span_id(context.span_id)
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure(level: str, **constant: str) -> None:
    """Send every logger of the process to stdout as JSON; `constant` fields are in each line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(**constant))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


def on_event(event: Event) -> None:
    """Subscriber: access log, breaker changes, cache failures."""
    match event:
        case RequestFinished():
            level = logging.INFO if event.is_user_traffic else logging.DEBUG
            fields = {
                "method": event.method,
                "path": event.path,
                "route": event.route,
                "status": event.status,
                "duration_ms": round(event.duration_seconds * 1000, 3),
                "client": event.client,
                "cache": event.cache,
            }
            access_log.log(level, f"{event.method} {event.path} {event.status}", extra={"fields": fields})
        case BreakerChanged():
            level = logging.INFO if event.state is BreakerState.CLOSED else logging.WARNING
            fields = {"dependency": event.dependency, "state": event.state.name.lower()}
            events_log.log(level, "circuit breaker changed", extra={"fields": fields})
        case CacheFailed():
            fields = {"operation": event.operation, "error": event.error}
            events_log.warning("cache operation failed, going on without it", extra={"fields": fields})
