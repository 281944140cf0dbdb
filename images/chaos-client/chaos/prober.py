"""Looks at everybody's actual role, four times a second."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
from redis.asyncio import Redis

from chaos import postgres_writer, redis_clients, redis_writers
from chaos.lines import tell
from chaos.settings import Settings

PAUSE_SECONDS = 0.25
# All are asked at once; who does not answer within this is not seen.
ANSWER_SECONDS = 0.35
PATRONI_EVERY = 4
# A standby tells how far it is once a second. A primary that stood still and goes on is one, by its own word, until it
# hears of the next one; but no standby has told it anything lately, and it acknowledges nothing.
POSTGRES_ROLE = """
SELECT CASE
    WHEN pg_is_in_recovery() THEN 'standby'
    WHEN current_setting('synchronous_standby_names') = '' THEN 'primary'
    WHEN EXISTS (
        SELECT FROM pg_stat_replication WHERE sync_state <> 'async' AND reply_time > now() - interval '3 seconds'
    ) THEN 'primary'
    ELSE 'primary without standbys'
END"""

Probe = Callable[[], Awaitable[Any]]


class Prober:
    """Keeps its connections, so that a look costs each server next to nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis: dict[str, Redis] = {}
        self._sentinels: dict[str, Redis] = {}
        self._postgres: dict[str, asyncpg.Connection] = {}
        self._patroni: dict[str, Any] = {}

    async def run(self) -> None:
        """Until the time is over."""
        end = time.monotonic() + self._settings.seconds
        number = 0
        while time.monotonic() < end:
            begun = time.monotonic()
            if number % PATRONI_EVERY == 0:
                self._patroni = await self._ask_patroni()
            at, seen = time.time(), await self._look()
            if _has_two(seen):
                # The first answer may have been given just before the second one's cause.
                at, seen = time.time(), await self._look()
            tell("sample", at=at, patroni=self._patroni, **seen)
            number += 1
            await asyncio.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - begun)))

    async def _look(self) -> dict[str, dict[str, Any]]:
        settings = self._settings
        probes: dict[tuple[str, str], Probe] = {}
        for member, host in settings.redis.items():
            probes["redis", member] = lambda host=host: self._redis_role(host)
        for member, host in settings.sentinels.items():
            probes["sentinels", member] = lambda host=host: self._sentinel_says(host)
        for member, host in settings.postgres.items():
            probes["postgres", member] = lambda host=host: self._postgres_role(host)
        answers = await _all_at_once(probes)
        seen: dict[str, dict[str, Any]] = {"redis": {}, "sentinels": {}, "postgres": {}}
        for (kind, member), answer in answers.items():
            seen[kind][member] = answer
        return seen

    async def _redis_role(self, host: str) -> dict[str, Any]:
        client = self._redis.get(host)
        if client is None:
            client = self._redis[host] = redis_clients.to_server(
                self._settings, host, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
            )
        try:
            info = await client.info("replication")
        except BaseException:
            self._redis.pop(host, None)
            with contextlib.suppress(*redis_writers.FAILURES):
                await client.aclose()
            raise
        role = str(info["role"])
        if role == "master":
            # Only shown where replicas are asked for; then at least one has to follow.
            return {"role": role, "writable": int(info.get("min_slaves_good_slaves", 1)) >= 1}
        primary = self._settings.member(str(info.get("master_host", "")))
        return {"role": role, "of": primary, "link": info.get("master_link_status", "")}

    async def _sentinel_says(self, host: str) -> str:
        options = {
            **redis_clients.sentinel_options(self._settings),
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": ANSWER_SECONDS,
        }
        client = self._sentinels.get(host)
        if client is None:
            client = self._sentinels[host] = Redis(
                host=host, port=self._settings.ports["sentinel"], single_connection_client=True, **options
            )
        try:
            answer = await client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self._settings.service)
        except BaseException:
            self._sentinels.pop(host, None)
            with contextlib.suppress(*redis_writers.FAILURES):
                await client.aclose()
            raise
        name = answer[0] if answer else b""
        return self._settings.member(name.decode() if isinstance(name, bytes) else str(name))

    async def _postgres_role(self, host: str) -> str:
        connection = self._postgres.get(host)
        if connection is None:
            connection = await postgres_writer.open_one(
                self._settings, host, seconds=ANSWER_SECONDS, account=self._settings.statistics_account
            )
            self._postgres[host] = connection
        try:
            return str(await connection.fetchval(POSTGRES_ROLE, timeout=ANSWER_SECONDS))
        except BaseException:
            self._postgres.pop(host, None)
            connection.terminate()
            raise

    async def _ask_patroni(self) -> dict[str, Any]:
        """The members as the first Patroni tells them that answers; none where there is no Patroni."""
        if len(self._settings.postgres) < 2:
            return {}
        hosts, port = self._settings.postgres, self._settings.ports["patroni"]
        probes: dict[tuple[str, str], Probe] = {
            ("", host): lambda host=host: _cluster(host, port) for host in hosts.values()
        }
        answers = await _all_at_once(probes)
        for answer in answers.values():
            members = answer.get("members", [])
            return {
                self._settings.member(one["name"]): {
                    key: one.get(key) for key in ("role", "state", "timeline", "lag") if one.get(key) is not None
                }
                for one in members
            }
        return {}


async def _all_at_once(probes: Mapping[tuple[str, str], Probe]) -> dict[tuple[str, str], Any]:
    """What came back in time and was no error."""
    tasks = {asyncio.ensure_future(probe()): name for name, probe in probes.items()}
    if not tasks:
        return {}
    done, late = await asyncio.wait(tasks, timeout=ANSWER_SECONDS)
    for task in late:
        task.cancel()
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return {tasks[task]: task.result() for task in done if not task.cancelled() and task.exception() is None}


async def _cluster(host: str, port: int) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /cluster HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        _, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return dict(json.loads(body))
    finally:
        writer.close()


def _has_two(seen: Mapping[str, Mapping[str, Any]]) -> bool:
    writable = sum(bool(one.get("writable")) for one in seen["redis"].values())
    return writable > 1 or sum(role == "primary" for role in seen["postgres"].values()) > 1
