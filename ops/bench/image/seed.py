"""Fills the database with chats: `seed.py OWNER CHATS MESSAGES`. Chat number N has the id 00000000-0000-4000-8000-N."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import asyncpg

SECONDS = 300
CHATS = """
INSERT INTO chats (id, owner, title, last_message_id)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $1, 'Chat ' || n, $3
FROM generate_series(1, $2) n ON CONFLICT DO NOTHING
"""
MESSAGES = """
INSERT INTO messages (chat_id, id, role, content)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, m,
    CASE m % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
    -- A question of a line, an answer of about 1.5 KiB; hexadecimal digits are about as hard to compress as text.
    (SELECT string_agg(md5(n || '.' || m || '.' || i), ' ')
     FROM generate_series(1, CASE m % 2 WHEN 1 THEN 4 ELSE 47 END) i)
FROM generate_series(1, $1) n, generate_series(1, $2) m ON CONFLICT DO NOTHING
"""


async def database() -> asyncpg.Pool:
    """The pool that a comparator uses: as large as the backend's own."""
    return await asyncpg.create_pool(
        host=os.environ["DATABASE_HOST"],
        port=int(os.environ["DATABASE_PORT"]),
        database=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USER"],
        password=Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text(encoding="utf-8").strip(),
        min_size=10,
        max_size=10,
        command_timeout=5,
    )


async def main(owner: str, chats: int, messages: int) -> None:
    """Insert what is not there yet."""
    async with await database() as pool:
        await pool.execute(CHATS, owner, chats, messages, timeout=SECONDS)
        await pool.execute(MESSAGES, chats, messages, timeout=SECONDS)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
