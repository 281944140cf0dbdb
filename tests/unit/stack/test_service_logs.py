"""Lines of a service's log: all there are, and no waiting for an end that Docker does not send."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ops.stack import logs


def test_all_chunks_until_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(logs.until_silent(iter([b"one", b"two"]), 5.0)) == [b"one", b"two"]
    assert capsys.readouterr().err == ""


def test_an_end_that_does_not_come_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    over = threading.Event()

    def stalled() -> Iterator[bytes]:
        yield b"one"
        over.wait(30)

    try:
        assert list(logs.until_silent(stalled(), 0.2)) == [b"one"]
    finally:
        over.set()
    assert "some may be missing" in capsys.readouterr().err


def test_a_failure_while_reading_is_the_readers() -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        list(logs.until_silent(broken(), 5.0))
