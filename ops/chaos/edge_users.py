"""`python -m ops.chaos.edge_users`: the process of `edge.Load`. Its plan comes on the first line of standard input;
it stops when that ends, and prints what became of every request.

Plain sockets in threads: what the users cost must not be what is measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import queue
import ssl
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterable

from ops.chaos.edge import ANSWER_SECONDS, ANY, READY, Plan
from ops.chaos.records import Request

# A browser waits less before it tries the next address; nobody waits longer.
_CONNECT_SECONDS = 1.0
# Nobody waits for another user's answer: as many as there can be while nobody is answered at all, at the usual rate.
_AT_ONCE = 96
_MOST_WAITING = 64
_CHATS = 4
# Users have machines of their own: of one that is shared they shall not be the ones who wait.
_PRIORITY = -10
# A connection that was kept and that the other side has closed meanwhile: whoever sends a request that may be sent
# twice (a read, or with an Idempotency-Key) sends it again on a new one. TLS calls it SSLEOFError where the body
# is what finds out that the edge has ended.
_HUNG_UP = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
_FAILED = (http.client.HTTPException, OSError)


class CannotConnectError(Exception):
    """Raised where an edge takes no connection: nothing was sent."""


class Connections:
    """One connection to each edge, made when it is needed. For one thread."""

    def __init__(self, plan: Plan, tls: ssl.SSLContext | None) -> None:
        self._plan = plan
        self._tls = tls
        self._open: dict[int, http.client.HTTPConnection] = {}

    def send(self, slot: int, method: str, path: str, body: str, key: str) -> tuple[int, bytes]:
        """Status and body of the answer. Raises CannotConnectError, or one of _FAILED."""
        for is_last in (slot not in self._open, True):
            connection = self._open.get(slot) or self._connect(slot)
            try:
                connection.request(method, path, body or None, self._headers(body, key))
                answer = connection.getresponse()
                said = answer.read()
            except _FAILED as error:
                self._close(slot)
                if is_last or not isinstance(error, _HUNG_UP):
                    raise
                continue
            if answer.will_close:
                self._close(slot)
            return answer.status, said
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Keeps none."""
        for slot in list(self._open):
            self._close(slot)

    def _headers(self, body: str, key: str) -> dict[str, str]:
        found = {"Authorization": f"Bearer {self._plan.token}"}
        if body:
            found |= {"Content-Type": "application/json", "Idempotency-Key": key}
        return found

    def _connect(self, slot: int) -> http.client.HTTPConnection:
        where = urllib.parse.urlsplit(self._plan.edges[slot])
        host, port = str(where.hostname), where.port
        made: http.client.HTTPConnection
        if self._tls is None:
            made = http.client.HTTPConnection(host, port, timeout=_CONNECT_SECONDS)
        else:
            made = http.client.HTTPSConnection(host, port, timeout=_CONNECT_SECONDS, context=self._tls)
        try:
            made.connect()
        except OSError as error:
            raise CannotConnectError(f"cannot connect: {said_of(error)}") from error
        made.sock.settimeout(ANSWER_SECONDS)
        self._open[slot] = made
        return made

    def _close(self, slot: int) -> None:
        with contextlib.suppress(OSError):
            self._open.pop(slot).close()


class Client:
    """A client by name, which asks the edges `slots`: the one that answered last comes first."""

    def __init__(self, plan: Plan, tls: ssl.SSLContext | None, name: str, slots: Iterable[int]) -> None:
        self._plan, self._tls, self._name = plan, tls, name
        self._slots = list(slots)
        self._chats: list[str] = []
        self._waiting: queue.Queue[tuple[int, float] | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_AT_ONCE)]
        self.requests: list[Request] = []

    def open(self) -> None:
        """Makes the chats that are written to. Raises OSError."""
        connections = Connections(self._plan, self._tls)
        for _ in range(_CHATS):
            body = json.dumps({"title": f"chaos {self._plan.run}"})
            status, said = connections.send(self._slots[0], "POST", "/api/chats", body, str(uuid.uuid4()))
            if status != 201:
                raise OSError(f"{self._name}: HTTP {status}")
            self._chats.append(json.loads(said)["id"])
        for thread in self._threads:
            thread.start()

    def run(self, over: threading.Event) -> None:
        """One request each 1 / `per_second` until it is over, then waits for what is on its way."""
        begun, number = time.monotonic(), 0
        while not over.is_set():
            number += 1
            if self._waiting.qsize() < _MOST_WAITING:
                self._waiting.put((number, time.time()))
            else:
                self._note(self._slots[0], time.time(), 0, "too many are waiting", "")
            over.wait(max(0.0, begun + number / self._plan.per_second - time.monotonic()))
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)

    def _work(self) -> None:
        connections = Connections(self._plan, self._tls)
        while (item := self._waiting.get()) is not None:
            self._request(connections, *item)
        connections.close()

    def _request(self, connections: Connections, number: int, at: float) -> None:
        """From `at`, when its time had come: to wait for others is a part of what a user waits."""
        path = f"/api/chats/{self._chats[number // 2 % _CHATS]}/messages"
        content = f"{self._plan.run}.{self._name}.{number}" if number % 2 else ""
        body = json.dumps({"role": "user", "content": content}) if content else ""
        method, path, key = ("POST", path, str(uuid.uuid4())) if content else ("GET", f"{path}?limit=5", "")
        status, error, slot = 0, "", self._slots[0]
        for slot in list(self._slots):
            try:
                status, _ = connections.send(slot, method, path, body, key)
            except CannotConnectError as problem:
                error = str(problem)
                continue
            except _FAILED as problem:
                error = said_of(problem)
                break
            self._prefer(slot)
            break
        self._note(slot, at, status, "" if 200 <= status < 300 else error if not status else f"HTTP {status}", content)

    def _prefer(self, slot: int) -> None:
        if self._slots[0] != slot:
            self._slots = [slot, *(other for other in self._slots if other != slot)]

    def _note(self, slot: int, at: float, status: int, error: str, content: str) -> None:
        self.requests.append(Request(self._name, slot, at, time.time() - at, status, error, content))


def said_of(error: BaseException) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:120]


def main() -> None:
    """Until standard input ends."""
    given = json.loads(sys.stdin.readline())
    plan = Plan(**{**given, "edges": {int(slot): address for slot, address in given["edges"].items()}})
    tls = None
    if plan.trusted:
        tls = ssl.create_default_context()
        tls.load_verify_locations(cadata=plan.trusted)
    with contextlib.suppress(OSError):
        os.nice(_PRIORITY)
    clients = [Client(plan, tls, f"edge-{slot}", [slot]) for slot in plan.edges]
    clients.append(Client(plan, tls, ANY, plan.edges))
    try:
        for client in clients:
            client.open()
    except (*_FAILED, CannotConnectError) as error:
        print(said_of(error))
        return
    print(READY, flush=True)
    over = threading.Event()
    threads = [threading.Thread(target=client.run, args=(over,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join(3 * ANSWER_SECONDS)
    print(json.dumps([dataclasses.astuple(item) for client in clients for item in client.requests]))


if __name__ == "__main__":
    main()
