"""What is held until standard input ends: `python -m chaos.holds WHAT ARGUMENT…`. It says `ready` once it holds.

Whoever started it may be gone in the next moment; then the end of its standard input takes everything back.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import resource
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg

from chaos import redis_clients
from chaos import settings as reading
from chaos.postgres_writer import FAILURES, connect, open_one
from chaos.settings import Settings

_TOP_UP_SECONDS = 5.0
_LONG_SECONDS = 3600.0
_COUNT = "SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL"
# An edge closes a connection that has been idle for 30 s. It answers this by itself.
_ASK_SECONDS = 20.0
_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: edge\r\n\r\n"
_TELL_SECONDS = 20.0


@contextlib.asynccontextmanager
async def connections(settings: Settings, share: str) -> AsyncIterator[None]:
    """So many of PostgreSQL's connections, of those that there are, that `share` of them are taken."""
    host, first = await connect(settings)
    most = int(await first.fetchval("SHOW max_connections"))
    held: list[asyncpg.Connection] = [first]

    async def take() -> None:
        while await first.fetchval(_COUNT, timeout=10) < float(share) * most:
            held.append(await open_one(settings, host, seconds=10))

    async def keep() -> None:
        while True:
            await asyncio.sleep(_TOP_UP_SECONDS)
            with contextlib.suppress(*FAILURES):
                await take()

    await take()
    async with _beside(keep()):
        yield
    for one in held:
        one.terminate()


@contextlib.asynccontextmanager
async def transaction(settings: Settings) -> AsyncIterator[None]:
    """A transaction that does not end. It works, for PostgreSQL ends one that is idle."""
    _, connection = await connect(settings)
    # Else the server would go on long after we are gone: it looks for us only when it has something to say.
    await connection.execute("SET client_connection_check_interval = '1s'")
    async with _beside(connection.execute("SELECT pg_sleep(7200)", timeout=2 * _LONG_SECONDS)):
        yield
    connection.terminate()


@contextlib.asynccontextmanager
async def cut_off(settings: Settings, member: str) -> AsyncIterator[None]:
    """A replica of Redis that cannot log in to its primary."""
    client = redis_clients.to_server(settings, settings.redis[member])
    password = (await client.config_get("masterauth"))["masterauth"]
    await client.config_set("masterauth", "of-nobody")
    try:
        await client.execute_command("CLIENT", "KILL", "TYPE", "master")
        yield
    finally:
        await client.config_set("masterauth", password)
        await client.aclose()


@contextlib.asynccontextmanager
async def sessions(_: Settings, host: str, port: str, count: str) -> AsyncIterator[None]:
    """Connections to an edge that stay open, as browsers keep them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    over = threading.Event()
    ready = threading.Event()
    keeper = threading.Thread(target=_keep_sessions, args=(host, int(port), int(count), over, ready))
    keeper.start()
    await asyncio.to_thread(ready.wait)
    try:
        yield
    finally:
        over.set()
        keeper.join()


@contextlib.asynccontextmanager
async def alert(_: Settings, name: str, severity: str, *labels: str) -> AsyncIterator[None]:
    """An alert that every Alertmanager is told of by itself, with `label=value…` more."""
    told = {"alertname": name, "severity": severity, "service": "proof", "owner": "platform"}
    told |= dict(label.split("=", 1) for label in labels)
    begun = datetime.datetime.now(datetime.UTC)

    async def keep() -> None:
        while True:
            await asyncio.to_thread(_tell_alertmanagers, told, begun, 300.0)
            await asyncio.sleep(_TELL_SECONDS)

    await asyncio.to_thread(_tell_alertmanagers, told, begun, 300.0)
    async with _beside(keep()):
        yield
    await asyncio.to_thread(_tell_alertmanagers, told, begun, 0.0)


@contextlib.asynccontextmanager
async def _beside(work: Awaitable[object]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, *FAILURES):
            await task


def _keep_sessions(host: str, port: int, count: int, over: threading.Event, ready: threading.Event) -> None:
    held: list[socket.socket] = []
    try:
        while not over.is_set():
            round_end = time.monotonic() + _ASK_SECONDS
            for number in range(count):
                if over.is_set():
                    return
                if number == len(held):
                    held.append(socket.create_connection((host, port), timeout=10))
                try:
                    held[number].sendall(_REQUEST)
                    held[number].recv(4096)
                except OSError:
                    held[number].close()
                    held[number] = socket.create_connection((host, port), timeout=10)
                    continue
                # Spread over the round, so that nobody feels it.
                if ready.is_set():
                    time.sleep(max(0.0, (round_end - time.monotonic()) / (count - number)))
            ready.set()
    finally:
        ready.set()
        for one in held:
            one.close()


def _tell_alertmanagers(labels: dict[str, str], begun: datetime.datetime, seconds: float) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    told = {
        "labels": labels,
        "annotations": {"summary": "Only a proof of the alerts.", "runbook": "docs/alerts.md"},
        "startsAt": begun.isoformat(),
        "endsAt": end.isoformat(),
    }
    for url in os.environ["WITNESS_ALERTMANAGERS"].split(","):
        request = urllib.request.Request(  # noqa: S310 - http, of the stack
            f"{url}/api/v2/alerts",
            data=json.dumps([told]).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            pass


WHAT: dict[str, Callable[..., contextlib.AbstractAsyncContextManager[None]]] = {
    "connections": connections,
    "transaction": transaction,
    "cut-off": cut_off,
    "sessions": sessions,
    "alert": alert,
}


async def main(what: str, *arguments: str) -> None:
    """Takes hold, says so, and lets go when nobody holds us any more."""
    async with WHAT[what](reading.load(), *arguments):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
