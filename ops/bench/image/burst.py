"""Identical requests at once, each on a connection of its own: `burst.py HOST PATH COUNT`. Prints one line of JSON.

Every connection stands before the first request is sent. Environment: TOKEN.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter

# The other side accepts this many at once.
BATCH = 200
ANSWER_SECONDS = 60


async def main(host: str, path: str, count: int) -> None:
    """Connect, ask, and count the answers by status."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {os.environ['TOKEN']}\r\n\r\n".encode()
    connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    while len(connections) < count:
        batch = min(BATCH, count - len(connections))
        connections += await asyncio.gather(*(asyncio.open_connection(host, 8080) for _ in range(batch)))

    async def status(reader: asyncio.StreamReader) -> str:
        async with asyncio.timeout(ANSWER_SECONDS):
            return (await reader.readline()).decode().split(" ")[1]

    began = time.perf_counter()
    for _, writer in connections:
        writer.write(request)
    sent = time.perf_counter()
    answers = await asyncio.gather(*(status(reader) for reader, _ in connections), return_exceptions=True)
    ended = time.perf_counter()
    counted = Counter(answer if isinstance(answer, str) else type(answer).__name__ for answer in answers)
    print(json.dumps({"answers": counted, "sent_seconds": sent - began, "seconds": ended - began}))
    for _, writer in connections:
        writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
