"""A cluster in order, and controllers over it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.servers import eventually
from tests.controller.cluster import Cluster, Controlled


def _cluster(folder: Path) -> Iterator[Cluster]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    made = Cluster(folder)
    try:
        eventually(made.is_in_order, "the cluster is in order")
        yield made
    finally:
        made.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Real servers and sentinels, in order, for one test."""
    yield from _cluster(tmp_path)


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for several tests that change nothing."""
    yield from _cluster(tmp_path_factory.mktemp("order"))


@pytest.fixture
def control(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[[str], Controlled]]:
    """Starts a controller in the given mode, which must end well when the test is over."""
    started: list[Controlled] = []

    def start(mode: str) -> Controlled:
        started.append(Controlled(cluster, tmp_path, mode))
        return started[-1]

    yield start
    for controlled in started:
        assert controlled.close() == 0
