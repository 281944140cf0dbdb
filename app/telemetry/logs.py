"""Structured logs: one JSON object a line on stdout, with the ids of the trace they belong to."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, TextIO

from opentelemetry import trace

from app.events import BreakerChanged, BreakerState, CacheFailed, Event, RequestFinished

access_log = logging.getLogger("app.access")
events_log = logging.getLogger("app.events")

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

QUIET_SECONDS = 1.0
FLUSH_SECONDS = 0.1
MAX_LINES = 256


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
        return _encode(entry)


class BatchedHandler(logging.StreamHandler[TextIO]):
    """Writes lines together, at most `FLUSH_SECONDS` late: a system call for each would cost more than the line.

    A warning or worse is written at once, and with it what came before. Outside of an event loop all are.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line for a moment, or write it."""
        try:
            self._lines.append(self.format(record) + self.terminator)
            loop = asyncio.get_running_loop()
            if record.levelno >= logging.WARNING or len(self._lines) >= MAX_LINES:
                self.flush()
            elif len(self._lines) == 1:
                loop.call_later(FLUSH_SECONDS, self.flush)
        except RuntimeError:  # no loop runs
            self.flush()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what is kept."""
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(lines))
            super().flush()


def configure(level: str, **constant: str) -> None:
    """Send every logger of the process to stdout as JSON; `constant` fields are in each line."""
    handler = BatchedHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(**constant))
    # What logging would find out for every line, and no line shows.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


class EventLog:
    """Subscriber: access log, breaker changes, cache failures."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When a failure of a kind was last logged, and how many were not since then.
        self._failures: dict[tuple[str, str], tuple[float, int]] = {}

    def on_event(self, event: Event) -> None:
        """Write what somebody will want to know."""
        match event:
            case RequestFinished():
                _access(event)
            case BreakerChanged():
                level = logging.INFO if event.state is BreakerState.CLOSED else logging.WARNING
                fields = {"dependency": event.dependency, "state": event.state.name.lower()}
                events_log.log(level, "circuit breaker changed", extra={"fields": fields})
            case CacheFailed():
                self._cache_failed(event)

    def _cache_failed(self, event: CacheFailed) -> None:
        # An outage fails every request of its time: one line a second tells as much as a thousand.
        kind = (event.tier, event.operation)
        now = self._clock()
        logged_at, left_out = self._failures.get(kind, (-QUIET_SECONDS, 0))
        if now - logged_at < QUIET_SECONDS:
            self._failures[kind] = (logged_at, left_out + 1)
            return
        self._failures[kind] = (now, 0)
        fields = {"tier": event.tier, "operation": event.operation, "error": event.error, "not_logged": left_out}
        events_log.warning("cache operation failed, going on without it", extra={"fields": fields})


def _access(event: RequestFinished) -> None:
    level = logging.INFO if event.is_user_traffic else logging.DEBUG
    if not access_log.isEnabledFor(level):
        return
    fields = {
        "method": event.method,
        "path": event.path,
        "route": event.route,
        "status": event.status,
        "duration_ms": round(event.duration_seconds * 1000, 3),
        "client": event.client,
        "caller": event.caller,
        "variant": event.variant,
        "cache": event.cache,
    }
    access_log.log(level, f"{event.method} {event.path} {event.status}", extra={"fields": fields})
