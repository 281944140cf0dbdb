"""Clients that write all the time, remember what was acknowledged, and look for it afterwards."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import asyncpg

from app.storage.postgres import FAILURES
from app.storage.postgres_primary import Primary
from infra import names

STATEMENT_SECONDS = 2.0
CLIENTS = 4
WAIT = (*FAILURES, asyncpg.PostgresError, asyncpg.exceptions.InternalClientError)


class Writers:
    """`addresses` gives where the members are just now: names would come from Swarm's DNS, with the same delay as none.

    Each client inserts one row at a time into `acknowledged`, over a connection as the backend makes it.
    """

    def __init__(self, addresses: Callable[[], list[str]], password: str) -> None:
        self.user = names.of_generation(names.POSTGRES_APP_USERNAME, 1)
        self._look = addresses
        self._addresses = addresses()
        self.password = password
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._lookout = threading.Thread(target=self._look_again, daemon=True)
        self.acknowledged: list[tuple[int, float]] = []
        self.unknown = 0
        self._next = 0

    def __enter__(self) -> Writers:
        self._thread.start()
        self._lookout.start()
        deadline = time.monotonic() + 60
        while not self.acknowledged:
            assert time.monotonic() < deadline, "nothing can be written"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        self._lookout.join(60)

    def gap_seconds(self, since: float) -> float:
        """The longest time without an acknowledgement, from `since` (monotonic) on."""
        times = [at for _, at in self.acknowledged if at >= since]
        edges = [since, *times]
        return max(later - earlier for earlier, later in itertools.pairwise(edges))

    def wait_for_writes(self, since: float, seconds: float) -> None:
        """Until something is acknowledged that began after `since`; raises AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.acknowledged[-1][1] > since:
                return
            time.sleep(0.05)
        raise AssertionError(f"nothing was written for {seconds:g} s")

    async def connection(self, seconds: float = 2.0) -> Any:
        servers = [(address, names.POSTGRES_PORT) for address in self._addresses if address]
        return await Primary(servers).connect(
            user=self.user,
            password=self.password,
            database=names.POSTGRES_DATABASE,
            timeout=seconds,
            command_timeout=STATEMENT_SECONDS,
        )

    async def missing(self) -> set[int]:
        """The acknowledged rows that are not in the database."""
        connection = await self.connection(60)
        try:
            rows = await connection.fetch("SELECT id FROM acknowledged", timeout=60)
        finally:
            connection.terminate()
        return {number for number, _ in self.acknowledged} - {row["id"] for row in rows}

    def _look_again(self) -> None:
        while not self._stop.wait(0.2):
            self._addresses = self._look()

    async def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection = await self.connection()
                await connection.execute("CREATE TABLE IF NOT EXISTS acknowledged (id bigint PRIMARY KEY)", timeout=60)
                self._next = 1 + (await connection.fetchval("SELECT coalesce(max(id), 0) FROM acknowledged"))
                await connection.close()
                break
            except WAIT:
                await asyncio.sleep(0.2)
        await asyncio.gather(*(self._write() for _ in range(CLIENTS)))

    async def _write(self) -> None:
        connection = None
        while not self._stop.is_set():
            number, self._next = self._next, self._next + 1
            try:
                if connection is None:
                    connection = await self.connection()
                await connection.execute("INSERT INTO acknowledged VALUES ($1)", number)
                self.acknowledged.append((number, time.monotonic()))
                await asyncio.sleep(0.02)
            except WAIT:
                self.unknown += 1
                if connection is not None:
                    connection.terminate()
                    connection = None
                await asyncio.sleep(0.05)
        if connection is not None:
            connection.terminate()
