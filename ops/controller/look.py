"""Looks: asks every server and every sentinel at the same time what they are. Changes nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from ops.controller.observation import Known, Observation, Sentinel, Server
from ops.controller.settings import Settings
from ops.controller.talk import FAILURES, split, talk

# IP address → the name that the configuration has for it.
_Names = Mapping[str, str]


async def look(settings: Settings) -> Observation:
    """What they say. Who does not answer in time is silent in it; nothing is raised for that."""
    names = await _names(settings)
    servers, sentinels = await asyncio.gather(
        asyncio.gather(*(_server(settings, address, names) for address in settings.servers)),
        asyncio.gather(*(_sentinel(settings, address, names) for address in settings.sentinels)),
    )
    return Observation(servers=tuple(servers), sentinels=tuple(sentinels))


async def _names(settings: Settings) -> _Names:
    """They may name one another by IP address, above all after somebody's own command."""
    loop = asyncio.get_running_loop()

    async def resolve(host: str) -> list[tuple[str, str]]:
        try:
            async with asyncio.timeout(settings.answer_seconds):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return []
        return [(str(entry[4][0]), host) for entry in found]

    hosts = sorted({split(address)[0] for address in (*settings.servers, *settings.sentinels)})
    return {ip: host for pairs in await asyncio.gather(*map(resolve, hosts)) for ip, host in pairs}


def _address(names: _Names, host: object, port: object) -> str:
    return f"{names.get(str(host), host)}:{port}"


async def _server(settings: Settings, address: str, names: _Names) -> Server:
    try:
        async with talk(address, settings.server_login, settings.answer_seconds) as server:
            text = await server.ask("INFO", "server", "replication", "persistence", "keyspace")
            return server_from(address, str(text), names)
    except FAILURES:
        return Server(address=address)


def server_from(address: str, text: str, names: _Names) -> Server:
    """A server's own `INFO` (sections server, replication, persistence, keyspace)."""
    info = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    # The end of the older stream is counted from 1 there, and is -1 where there is none.
    previous_end = int(info.get("second_repl_offset", -1))
    return Server(
        address=address,
        answers=True,
        role=info["role"],
        run_id=info["run_id"],
        follows=_address(names, info["master_host"], info["master_port"]) if "master_host" in info else "",
        link_is_up=info.get("master_link_status") == "up",
        is_busy=info.get("loading") != "0" or info.get("master_sync_in_progress", "0") != "0",
        history=info["master_replid"],
        offset=int(info["master_repl_offset"]),
        previous_history=info["master_replid2"],
        previous_end=previous_end - 1 if previous_end > 0 else -1,
        replicas=int(info["connected_slaves"]),
        keys=sum(_keys(value) for name, value in info.items() if name.startswith("db") and "keys=" in value),
    )


def _keys(value: str) -> int:
    return int(dict(part.split("=", 1) for part in value.split(","))["keys"])


async def _sentinel(settings: Settings, address: str, names: _Names) -> Sentinel:
    found = Sentinel(address=address, answers=True)
    try:
        async with talk(address, settings.sentinel_login, settings.answer_seconds) as sentinel:
            try:
                primary = _pairs(await sentinel.ask("SENTINEL", "MASTER", settings.service))
            except ResponseError as error:
                if "No such master" in str(error):
                    return found
                raise
            replicas = [_pairs(one) for one in await sentinel.ask("SENTINEL", "REPLICAS", settings.service)]
    except FAILURES:
        return Sentinel(address=address)
    return dataclasses.replace(
        found,
        primary=_address(names, primary["ip"], primary["port"]),
        flags=_flags(primary),
        config_epoch=int(primary["config-epoch"]),
        others=int(primary["num-other-sentinels"]),
        replicas=tuple(Known(address=_address(names, one["ip"], one["port"]), flags=_flags(one)) for one in replicas),
    )


def _pairs(flat: Sequence[Any]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _flags(pairs: Mapping[str, str]) -> frozenset[str]:
    return frozenset(pairs["flags"].split(","))
