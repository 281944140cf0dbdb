"""Users outside: requests through every edge at a steady rate, whatever becomes of the ones before."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Self

import httpx

from ops.chaos.records import Request
from ops.errors import DeployError

ANY = "any"
_ANSWER_SECONDS = 10.0
# A browser waits less before it tries the next address; nobody waits longer.
_CONNECT_SECONDS = 1.0
_MOST_AT_ONCE = 64
_CHATS = 4
_CANNOT_CONNECT = (httpx.ConnectError, httpx.ConnectTimeout)
# A connection that was kept and that the other side has closed meanwhile: whoever sends a request that may be sent
# twice (a read, or with an Idempotency-Key) sends it again on a new one.
_HUNG_UP = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """`edges`: slot → address. `per_second` is each client's rate; every second request writes."""

    run: str
    edges: Mapping[int, str]
    token: str = dataclasses.field(repr=False)
    tls: ssl.SSLContext | None
    per_second: float


class Load:
    """In the background from `start` to `stop`: a client for each edge, and one that knows them all."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._over = threading.Event()
        self._ready = threading.Event()
        self._requests: list[Request] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="edge-load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(60)
        if self._error or not self._ready.is_set():
            self.stop()
            raise DeployError(f"No chat could be made through the edges before anything was broken: {self._error}")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> tuple[Request, ...]:
        """Sends no more, waits for what is on its way, and gives all requests in the order of their sending."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_ANSWER_SECONDS * 2)
        return tuple(sorted(self._requests, key=lambda item: item.at))

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _work(self) -> None:
        plan = self._plan
        clients = [_Client(plan, f"edge-{slot}", [slot], self._requests) for slot in plan.edges]
        clients.append(_Client(plan, ANY, list(plan.edges), self._requests))
        try:
            await asyncio.gather(*(client.open() for client in clients))
            self._ready.set()
            await asyncio.gather(*(client.run(self._over) for client in clients))
        finally:
            await asyncio.gather(*(client.close() for client in clients))


class _Client:
    def __init__(self, plan: Plan, name: str, slots: Iterable[int], requests: list[Request]) -> None:
        self._plan = plan
        self._name = name
        # The one that answered last stands first.
        self._slots = list(slots)
        self._requests = requests
        self._chats: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(
            verify=plan.tls if plan.tls is not None else True,
            trust_env=False,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=2 * _MOST_AT_ONCE, max_keepalive_connections=8),
            headers={"Authorization": f"Bearer {plan.token}"},
        )

    async def open(self) -> None:
        """Makes the chats that are written to. Raises httpx.HTTPError."""
        for _ in range(_CHATS):
            address = self._plan.edges[self._slots[0]]
            answer = await self._http.post(f"{address}/api/chats", json={"title": f"chaos {self._plan.run}"})
            answer.raise_for_status()
            self._chats.append(answer.json()["id"])

    async def run(self, over: threading.Event) -> None:
        """One request each 1 / `per_second`, until it is over; late ones are made up for."""
        begun, number = time.monotonic(), 0
        while not over.is_set():
            number += 1
            if len(self._tasks) >= _MOST_AT_ONCE:
                self._note(self._slots[0], time.time(), 0.0, 0, "more than the client can have on its way", "")
            else:
                task = asyncio.create_task(self._request(number))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(max(0.0, begun + number / self._plan.per_second - time.monotonic()))
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Ends the connections."""
        await self._http.aclose()

    async def _request(self, number: int) -> None:
        path = f"/api/chats/{self._chats[number // 2 % _CHATS]}/messages"
        content = f"{self._plan.run}.{self._name}.{number}" if number % 2 else ""
        options: dict[str, Any] = {"params": {"limit": 5}}
        if content:
            options = {
                "json": {"role": "user", "content": content},
                "headers": {"Idempotency-Key": str(uuid.uuid4())},
            }
        method, at, begun = "POST" if content else "GET", time.time(), time.monotonic()
        status, error, slot = 0, "", self._slots[0]
        for slot in list(self._slots):
            url = f"{self._plan.edges[slot]}{path}"
            try:
                status = await self._send(method, url, options)
            except _CANNOT_CONNECT as problem:
                error = _said(problem)
                continue
            except httpx.HTTPError as problem:
                error = _said(problem)
                break
            self._prefer(slot)
            break
        error = "" if 200 <= status < 300 else error or f"HTTP {status}"
        self._note(slot, at, time.monotonic() - begun, status, error, content)

    async def _send(self, method: str, url: str, options: dict[str, Any]) -> int:
        try:
            return (await self._http.request(method, url, **options)).status_code
        except _HUNG_UP:
            return (await self._http.request(method, url, **options)).status_code

    def _prefer(self, slot: int) -> None:
        if self._slots[0] != slot:
            self._slots.remove(slot)
            self._slots.insert(0, slot)

    def _note(self, slot: int, at: float, seconds: float, status: int, error: str, content: str) -> None:
        self._requests.append(Request(self._name, slot, at, seconds, status, error, content))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:120]
