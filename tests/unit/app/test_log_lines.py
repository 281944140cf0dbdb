"""Log lines are one JSON object each, whatever is logged."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from app.telemetry.logs import JsonFormatter


def line(message: str, **attributes: Any) -> dict[str, Any]:
    """What the formatter makes of a record."""
    record = logging.LogRecord("app.x", logging.INFO, __file__, 1, message, None, None)
    record.__dict__.update(attributes)
    text = JsonFormatter(service="pidea-backend").format(record)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_fixed_and_own_fields() -> None:
    entry = line("hello", fields={"status": 200})
    assert {
        "level": "INFO",
        "logger": "app.x",
        "message": "hello",
        "service": "pidea-backend",
        "status": 200,
    }.items() <= (entry.items())
    assert entry["timestamp"].endswith("+00:00")


def test_hostile_text_stays_in_its_line() -> None:
    assert line('a\n{"level": "FAKE"}\r\u2028')["message"] == 'a\n{"level": "FAKE"}\r\u2028'


def test_an_exception_is_a_field() -> None:
    try:
        raise ValueError("broken\nbadly")
    except ValueError:
        assert "ValueError: broken" in line("x", exc_info=sys.exc_info())["exception"]
