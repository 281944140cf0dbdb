"""Who waits for a command sees how far it is: a bar on a terminal, a line now and then elsewhere. A log sees none."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from ops import console
from ops.backup import log, process

MIB = 1 << 20
COPY: tuple[list[str], dict[str, str], list[str], dict[str, str]] = (
    ["head", "-c", str(3 * MIB), "/dev/zero"],
    {},
    ["cat"],
    {},
)


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(console, "_LINE_SECONDS", 0.0)


def test_only_who_waits_is_told(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    process.pipe(*COPY, progress=log.Progress("storing zeros", 4 * MIB))
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(log.Progress, "is_watched", True)
    process.pipe(*COPY, progress=log.Progress("storing zeros", 4 * MIB))
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [entry["done_bytes"] for entry in told] == [MIB, 2 * MIB, 3 * MIB]
    assert {(entry["level"], entry["message"], entry["total_bytes"]) for entry in told} == {
        (log.PROGRESS, "storing zeros", 4 * MIB)
    }


@pytest.mark.parametrize(("total", "says"), [(4 * MIB, "storing zeros: 3 of 4 MiB"), (0, "storing zeros: 3 MiB")])
def test_a_script_sees_lines(monkeypatch: pytest.MonkeyPatch, total: int, says: str) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=written, force_terminal=False))
    with console.bar() as show:
        show("storing zeros", 3 * MIB, total)
    assert written.getvalue().strip() == says


def test_what_is_over_at_once_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=written, force_terminal=False))
    with console.bar():
        pass
    assert written.getvalue() == ""


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=written, force_terminal=True, width=100))
    with console.bar() as show:
        show("storing zeros", 3 * MIB, 4 * MIB)
        show("storing zeros", 5 * MIB, 4 * MIB)  # the whole was an estimate
    said = written.getvalue()
    assert "storing zeros" in said
    assert "5.0/5.0 MiB" in said
    assert said.endswith("\x1b[2K")  # the line is cleared
