"""Log lines are one JSON object each, whatever is logged."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from typing import Any

from app.telemetry.logs import MAX_LINES, BatchedHandler, JsonFormatter


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


def test_lines_are_written_together_but_a_warning_at_once() -> None:
    async def scenario() -> None:
        written = io.StringIO()
        handler = BatchedHandler(written)
        log = logging.Logger("batched", logging.INFO)
        log.addHandler(handler)
        log.info("first")
        log.info("second")
        assert written.getvalue() == ""
        log.warning("third")
        assert written.getvalue() == "first\nsecond\nthird\n"
        log.info("fourth")
        async with asyncio.timeout(5):
            while not written.getvalue().endswith("fourth\n"):
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_what_is_kept_is_written_at_the_end_and_outside_of_a_loop_at_once() -> None:
    written = io.StringIO()
    handler = BatchedHandler(written)
    log = logging.Logger("batched", logging.INFO)
    log.addHandler(handler)

    async def scenario() -> None:
        log.info("kept")

    asyncio.run(scenario())
    assert written.getvalue() == ""
    handler.flush()  # as logging does when the process ends
    assert written.getvalue() == "kept\n"
    log.info("later")
    assert written.getvalue() == "kept\nlater\n"


def test_many_lines_do_not_wait() -> None:
    async def scenario() -> None:
        written = io.StringIO()
        log = logging.Logger("batched", logging.INFO)
        log.addHandler(BatchedHandler(written))
        for number in range(MAX_LINES):
            log.info("%d", number)
        assert written.getvalue().count("\n") == MAX_LINES

    asyncio.run(scenario())
