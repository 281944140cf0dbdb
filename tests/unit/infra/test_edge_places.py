"""Replicas whose names go and come back, as with a node that is cut off: who is given requests, and when."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from infra import names
from infra.settings import StackSettings
from tests.unit.infra.conftest import read_config
from tests.unit.infra.resolver import Resolver, resolving
from tests.unit.infra.test_edge_tls import Edge, free_ports, running
from tests.unit.infra.waiting import eventually

HOST = names.physical(StackSettings.from_config(read_config("prod")).instance, names.APP)
ASKING_AT_ONCE = 4
ASKING_AT_LEAST = 20


class Replica(ThreadingHTTPServer):
    """An application at an address of loopback; while it is not `ready` it answers everything with 503."""

    def __init__(self, number: int, port: int) -> None:
        self.host = f"127.0.1.{number}"
        self.ready = True
        super().__init__((self.host, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Replica

    def do_GET(self) -> None:
        body = self.server.host.encode()
        # An edge that has seen the status of a check hangs up.
        with contextlib.suppress(ConnectionError):
            self.send_response(200 if self.server.ready else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Rig:
    """An edge, replicas, and the resolver by which it finds them."""

    def __init__(self, edge: Edge, resolver: Resolver, port: int) -> None:
        self._edge = edge
        self._resolver = resolver
        self._port = port
        self._started = 0
        self.ends = contextlib.ExitStack()

    def start(self, count: int) -> list[Replica]:
        """New replicas, each with an address that none had before."""
        return [self._start() for _ in range(count)]

    def _start(self) -> Replica:
        self._started += 1
        replica = Replica(self._started, self._port)
        thread = threading.Thread(target=replica.serve_forever)
        thread.start()
        for end in (thread.join, replica.server_close, replica.shutdown):
            self.ends.callback(end)
        self.name(replica)
        return replica

    def name(self, *replicas: Replica) -> None:
        """Their name has their addresses."""
        self._resolver.addresses = [*self._resolver.addresses, *(replica.host for replica in replicas)]

    def forget(self, *replicas: Replica) -> None:
        """Their name no longer has their addresses."""
        gone = {replica.host for replica in replicas}
        self._resolver.addresses = [address for address in self._resolver.addresses if address not in gone]

    def ask(self, seconds: float) -> set[tuple[int, str]]:
        """Each status and address that answered, a few requests at once for so long, enough for every replica."""
        end = time.monotonic() + seconds
        url = self._edge.url(names.EDGE_PUBLIC_PORT, "/api/chats")

        def one_after_the_other(_: int) -> set[tuple[int, str]]:
            answers = set()
            asked = itertools.count()
            with requests.Session() as session:
                while time.monotonic() < end or next(asked) < ASKING_AT_LEAST:
                    answer = session.get(url, timeout=30, verify=self._edge.authority)
                    answers.add((answer.status_code, answer.content.decode()))
            return answers

        with concurrent.futures.ThreadPoolExecutor(ASKING_AT_ONCE) as pool:
            return set().union(*pool.map(one_after_the_other, range(ASKING_AT_ONCE)))

    def with_figures(self) -> set[str]:
        """The places that the edge's metrics tell of."""
        told = requests.get(self._edge.url(names.EDGE_METRICS_PORT, "/metrics", "http"), timeout=10).text
        return set(re.findall(r'haproxy_server_sessions_total\{proxy="app",server="(\w+)"', told))

    def serve(self, *replicas: Replica) -> None:
        """Returns when these and no others are given requests."""
        wanted = {(200, replica.host) for replica in replicas}
        eventually(lambda: self.ask(0.5) == wanted)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    (port,) = free_ports(1)
    with resolving(f"tasks.{HOST}") as resolver, running(tmp_path, f"{HOST}:{port}", resolver.address) as edge:
        made = Rig(edge, resolver, port)
        with made.ends:
            yield made


def test_a_replica_that_was_cut_off_is_given_nothing_until_it_is_ready(rig: Rig) -> None:
    stays, returns = rig.start(2)
    rig.serve(stays, returns)
    # Its node is cut off: checks fail, and Docker forgets its name.
    returns.ready = False
    rig.forget(returns)
    rig.serve(stays)
    assert rig.ask(2) == {(200, stays.host)}
    # It is found again before it has found PostgreSQL.
    rig.name(returns)
    assert rig.ask(4) == {(200, stays.host)}
    returns.ready = True
    rig.serve(stays, returns)


def test_replicas_find_places_while_those_before_them_are_remembered(rig: Rig) -> None:
    replicas = rig.start(3)
    rig.serve(*replicas)
    for _ in range(5):
        before, replicas = replicas, rig.start(3)
        rig.serve(*before, *replicas)
        for replica in before:
            replica.ready = False
        rig.forget(*before)
        rig.serve(*replicas)


def test_places_without_a_replica_have_no_figures(rig: Rig) -> None:
    rig.serve(*rig.start(2))
    assert len(rig.with_figures()) == 2
