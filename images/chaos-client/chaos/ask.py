"""What is stored of a run, one a line: `ask redis|postgres RUN [SINCE_MS]`, `ask messages RUN`; `ask clean RUN`."""

from __future__ import annotations

import asyncio
import sys

from chaos import redis_clients
from chaos import settings as reading
from chaos.postgres_writer import connect
from chaos.settings import Settings

MESSAGES = "SELECT content FROM messages JOIN chats ON chats.id = messages.chat_id WHERE chats.title = $1"
WRITES = "SELECT writer, number FROM chaos_writes WHERE writer LIKE $1 || '.%' AND number >= $2"


async def _redis(settings: Settings, run: str, since: int) -> list[str]:
    known = redis_clients.sentinels(settings) if settings.sentinels else None
    client = redis_clients.to_server(settings, await redis_clients.primary_host(settings, known), socket_timeout=20)
    found = [key.decode() async for key in client.scan_iter(match=f"pidea:chaos:*:{run}.*", count=1000)]
    await client.aclose()
    # `pidea:chaos:` goes: what is left, STORE:WRITER:NUMBER, names the write.
    return [key.split(":", 2)[2] for key in found if int(key.rpartition(":")[2]) >= since]


async def _postgres(settings: Settings, run: str, since: int) -> list[str]:
    _, connection = await connect(settings)
    rows = await connection.fetch(WRITES, run, since, timeout=20)
    await connection.close()
    return [f"postgres:{row['writer']}:{row['number']}" for row in rows]


async def _messages(settings: Settings, run: str, _: int) -> list[str]:
    _, connection = await connect(settings)
    rows = await connection.fetch(MESSAGES, f"chaos {run}", timeout=20)
    await connection.close()
    return [row["content"] for row in rows]


async def _clean(settings: Settings, run: str, _: int) -> list[str]:
    _, connection = await connect(settings)
    await connection.execute("DELETE FROM chats WHERE title LIKE $1", f"chaos {run}%", timeout=60)
    await connection.execute("DELETE FROM chaos_writes WHERE writer LIKE $1 || '.%'", run, timeout=60)
    await connection.close()
    return []


WHAT = {"redis": _redis, "postgres": _postgres, "messages": _messages, "clean": _clean}

if __name__ == "__main__":
    what, run, *since = sys.argv[1:]
    print("\n".join(asyncio.run(WHAT[what](reading.load(), run, int(since[0]) if since else 0))))
