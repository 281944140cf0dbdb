"""Pausing a node whose processes the kernel does not get hold of in time. A real one: tests/lab."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from ops.lab import faults


class Engine:
    """Refuses so often, with these words."""

    def __init__(self, refusals: int, words: str) -> None:
        self._left, self._words = refusals, words
        self.paused: list[str] = []

    def pause(self, container: str) -> None:
        if self._left:
            self._left -= 1
            raise docker.errors.APIError(self._words)
        self.paused.append(container)


def test_a_node_that_could_not_be_frozen_is_tried_again() -> None:
    engine: Any = Engine(2, "OCI runtime pause failed: unable to freeze: unknown")
    faults.freeze(engine, "lab-n1")
    assert engine.paused == ["lab-n1"]


@pytest.mark.parametrize(("refusals", "words"), [(99, "unable to freeze"), (1, "Container lab-n1 is not running")])
def test_what_another_attempt_does_not_help_is_told(refusals: int, words: str) -> None:
    engine: Any = Engine(refusals, words)
    with pytest.raises(docker.errors.APIError, match=words):
        faults.freeze(engine, "lab-n1")
    assert engine.paused == []
