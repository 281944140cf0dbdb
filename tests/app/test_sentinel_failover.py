"""The Redis primary dies or hangs under steady traffic: the sentinels name another one, and no request notices."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import httpx
import pytest

from tests.app.conftest import Workbench
from tests.app.sentinels import DOWN_AFTER_MILLISECONDS, Sentinels, ask
from tests.app.servers import Backend, RedisServer, eventually, free_port

pytestmark = pytest.mark.app

REDIS_SECONDS = 0.3
# A write waits for Redis once, a read at most twice, when what it joined ended just then; the rest is for the machine.
BUDGET_SECONDS = 2 * REDIS_SECONDS + 1.4
# Ends the traffic of a test that fails.
TRAFFIC_SECONDS = 60.0
L2_HITS = 'pidea_cache_hits_total{tier="l2"}'
BREAKER = 'pidea_circuit_breaker_state{dependency="redis"}'
PENDING = "pidea_cache_invalidations_pending"


@pytest.fixture
def sentinels(tmp_path: Path, redis_server: RedisServer) -> Iterator[Sentinels]:
    group = Sentinels(tmp_path, redis_server)
    yield group
    group.close()


def backend_of(bench: Workbench, addresses: str) -> Backend:
    return bench.ready(
        REDIS_HOST="",
        REDIS_SENTINELS=addresses,
        REDIS_TIMEOUT_SECONDS=str(REDIS_SECONDS),
        BREAKER_OPEN_SECONDS="0.3",
    )


class Traffic:
    """One client that writes a message and reads the page a few times, over and over, in a thread of its own."""

    def __init__(self, backend: Backend) -> None:
        self.path = backend.new_chat()
        self.failures: list[str] = []
        self.slowest_seconds = 0.0
        self.requests = 0
        self._client = backend.client_as("tester")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        self.flows()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def flows(self, requests: int = 50) -> None:
        """Wait for some more requests."""
        enough = self.requests + requests
        eventually(lambda: self.requests >= enough, "requests are answered")

    def assert_undisturbed(self) -> None:
        assert self.failures == []
        assert self.slowest_seconds < BUDGET_SECONDS

    def _run(self) -> None:
        ends_at = time.monotonic() + TRAFFIC_SECONDS
        number = 0
        while not self._stop.wait(0.002) and time.monotonic() < ends_at:
            number += 1
            self._expect(201, self._timed("POST", {"role": "user", "content": str(number)}))
            for _ in range(3):
                answer = self._timed("GET")
                if self._expect(200, answer):
                    newest = answer.json()["messages"][-1]["content"]
                    if newest != str(number):
                        self.failures.append(f"{newest} was read after {number} had been written")

    def _timed(self, method: str, body: dict[str, str] | None = None) -> httpx.Response:
        began = time.monotonic()
        answer = self._client.request(method, self.path, json=body)
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
        self.requests += 1
        return answer

    def _expect(self, status: int, answer: httpx.Response) -> bool:
        if answer.status_code != status:
            self.failures.append(f"{answer.status_code} {answer.text}")
        return answer.status_code == status


def until_l2_serves(backend: Backend) -> None:
    """Twenty more hits, a closed breaker, and every invalidation told."""
    enough = backend.metric(L2_HITS) + 20
    eventually(lambda: backend.metric(L2_HITS) >= enough, "L2 serves again")
    eventually(lambda: (backend.metric(BREAKER), backend.metric(PENDING)) == (0, 0), "all is told and well")


def newest(backend: Backend, path: str) -> tuple[str, str]:
    """X-Cache and the last message."""
    answer = backend.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-cache"], answer.json()["messages"][-1]["content"]


def test_no_request_notices_that_the_primary_was_killed(bench: Workbench, sentinels: Sentinels) -> None:
    backend = backend_of(bench, sentinels.addresses)
    with Traffic(backend) as traffic:
        until_l2_serves(backend)
        sentinels.primary.stop()
        eventually(sentinels.failed_over, "the replica is the primary")
        until_l2_serves(backend)
        traffic.flows()
    traffic.assert_undisturbed()
    assert int(ask(sentinels.replica.port, "DBSIZE")) > 0, "what is served comes from the new primary"


def test_no_request_notices_that_the_primary_hung_and_came_back(bench: Workbench, sentinels: Sentinels) -> None:
    backend = backend_of(bench, sentinels.addresses)
    with Traffic(backend) as traffic:
        until_l2_serves(backend)
        sentinels.primary.process.send_signal(signal.SIGSTOP)
        eventually(sentinels.failed_over, "the replica is the primary")
        until_l2_serves(backend)
        # It does not know yet that it has been replaced.
        sentinels.primary.process.send_signal(signal.SIGCONT)
        assert sentinels.is_primary(sentinels.primary)
        until_l2_serves(backend)
        traffic.flows()
    traffic.assert_undisturbed()


def test_no_request_notices_that_the_primarys_disk_takes_nothing_any_more(
    bench: Workbench, sentinels: Sentinels, tmp_path: Path
) -> None:
    backend = backend_of(bench, sentinels.addresses)
    with Traffic(backend) as traffic:
        until_l2_serves(backend)
        # What is in the way of the primary's file: no snapshot can be stored, and it says so to every write.
        (tmp_path / "dump.rdb").mkdir()
        ask(sentinels.primary.port, "CONFIG", "SET", "save", "3600 1")
        ask(sentinels.primary.port, "BGSAVE")
        eventually(sentinels.failed_over, "the replica is the primary")
        until_l2_serves(backend)
        # It answers, and the sentinels tell it that it has been replaced only after ten seconds or so.
        assert sentinels.is_primary(sentinels.primary), "nobody waited for that"
        traffic.flows()
    traffic.assert_undisturbed()
    assert int(ask(sentinels.replica.port, "DBSIZE")) > 0, "what is served comes from the new primary"


def test_no_request_notices_a_primary_that_hangs_too_briefly_to_be_replaced(
    bench: Workbench, sentinels: Sentinels
) -> None:
    backend = backend_of(bench, sentinels.addresses)
    with Traffic(backend) as traffic:
        until_l2_serves(backend)
        sentinels.primary.process.send_signal(signal.SIGSTOP)
        # Long enough for calls to run into their limit, too short for the sentinels.
        time.sleep(DOWN_AFTER_MILLISECONDS / 2000)
        sentinels.primary.process.send_signal(signal.SIGCONT)
        until_l2_serves(backend)
        traffic.flows()
    traffic.assert_undisturbed()


def test_a_sentinel_that_is_gone_and_one_that_hangs_are_passed_by(bench: Workbench, sentinels: Sentinels) -> None:
    sentinels.processes[0].send_signal(signal.SIGSTOP)
    backend = backend_of(bench, f"127.0.0.1:{free_port()},{sentinels.addresses}")
    with Traffic(backend) as traffic:
        until_l2_serves(backend)
    traffic.assert_undisturbed()


def test_without_any_sentinel_the_service_runs_without_its_cache(bench: Workbench) -> None:
    backend = backend_of(bench, f"127.0.0.1:{free_port()}")
    with Traffic(backend) as traffic:
        traffic.flows()
    traffic.assert_undisturbed()
    assert backend.metric(L2_HITS) == 0


def test_a_write_that_the_dead_primary_told_nobody_of_is_still_seen(bench: Workbench, sentinels: Sentinels) -> None:
    backend = backend_of(bench, sentinels.addresses)
    path = backend.new_chat()
    backend.client.post(path, json={"role": "user", "content": "old"})
    eventually(lambda: newest(backend, path) == ("l2", "old"), "the page is in Redis")
    primary = sentinels.primary.port
    offset = ask(primary, "INFO", "replication")["master_repl_offset"]
    eventually(
        lambda: ask(sentinels.replica.port, "INFO", "replication")["slave_repl_offset"] >= offset,
        "the replica has the page too",
    )
    # The replica loses its primary a moment before that dies, as when the primary's machine drops off the network.
    ask(primary, "ACL", "SETUSER", "default", "-psync", "-sync")
    ask(primary, "CLIENT", "KILL", "TYPE", "replica")
    eventually(lambda: not sentinels.replicates(), "the replica is cut off")

    assert backend.client.post(path, json={"role": "user", "content": "new"}).status_code == 201
    assert newest(backend, path)[1] == "new"
    sentinels.primary.stop()
    eventually(sentinels.failed_over, "the replica is the primary")

    def from_l2() -> str | None:
        cache, content = newest(backend, path)
        return content if cache == "l2" else None

    assert eventually(from_l2, "L2 serves again") == "new"
