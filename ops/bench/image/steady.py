"""Requests at a steady rate, whatever becomes of them: `steady.py HOST REQUESTS_PER_SECOND SECONDS`.

Prints a line of JSON for each second as it ends: how many requests began in it, how many of those failed (no answer, or
5xx) or were answered from L3, their latencies in milliseconds, and the breakers' states as the backend's metrics say.
An open loop: a slow answer does not hold back the requests after it. Environment: TOKEN, CHATS, SKEW, WRITES.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
import time
from dataclasses import dataclass, field
from itertools import accumulate

import aiohttp

ANSWER_SECONDS = 10
BODY = {"role": "user", "content": "Why is the build red? " * 10}
BREAKER = re.compile(r'pidea_circuit_breaker_state\{dependency="(\w+)"\} (\d)')
STATES = ("closed", "half-open", "open")


@dataclass
class Second:
    """What became of the requests that began in one second."""

    latencies_ms: list[float] = field(default_factory=list)
    failed_reads: int = 0
    failed_writes: int = 0
    stale: int = 0
    breakers: dict[str, str] = field(default_factory=dict)


async def main(host: str, rate: float, seconds: int) -> None:
    """Send; print each second once all of its requests have ended."""
    chats, skew, writes = int(os.environ["CHATS"]), float(os.environ["SKEW"]), float(os.environ["WRITES"])
    ranks = range(1, chats + 1)
    cumulated = list(accumulate(1 / rank**skew for rank in ranks))
    chance = random.Random()  # noqa: S311 - not a secret
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    async with aiohttp.ClientSession(
        f"http://{host}:8080", headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
    ) as session:

        async def one(second: Second) -> None:
            rank = chance.choices(ranks, cum_weights=cumulated)[0]
            path = f"/api/chats/00000000-0000-4000-8000-{rank:012x}/messages"
            is_write = chance.random() < writes
            began = time.perf_counter()
            try:
                async with session.post(path, json=BODY) if is_write else session.get(path) as response:
                    await response.read()
                    failed = response.status >= 500
                    second.stale += response.headers.get("X-Cache") == "l3"
            except (aiohttp.ClientError, TimeoutError):
                failed = True
            second.latencies_ms.append(round(1000 * (time.perf_counter() - began), 2))
            second.failed_writes += failed and is_write
            second.failed_reads += failed and not is_write

        async def breakers() -> dict[str, str]:
            try:
                async with session.get("/metrics") as response:
                    return {name: STATES[int(state)] for name, state in BREAKER.findall(await response.text())}
            except (aiohttp.ClientError, TimeoutError):
                return {}

        async def whole(number: int) -> None:
            second = Second()
            start = time.perf_counter()
            tasks = []
            for index in range(int(rate)):
                await asyncio.sleep(max(0.0, start + index / rate - time.perf_counter()))
                tasks.append(asyncio.create_task(one(second)))
            second.breakers = await breakers()
            await asyncio.gather(*tasks)
            print(json.dumps({"second": number, **vars(second)}), flush=True)

        started = time.perf_counter()
        running = []
        for number in range(seconds):
            await asyncio.sleep(max(0.0, started + number - time.perf_counter()))
            running.append(asyncio.create_task(whole(number)))
        await asyncio.gather(*running)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
