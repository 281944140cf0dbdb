"""Fills Redis as a cache of pages would: `fill_redis.py MIB`. Half of each value is what compression could save."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import redis

# Together with its key and what Redis keeps of both, a value of this length takes this much memory.
VALUE_BYTES, TAKEN_BYTES = 1014, 1112
AT_ONCE = 2000


def main(mib: int) -> None:
    """Set so many keys, each with a value of its own."""
    client = redis.Redis(
        host=os.environ["REDIS_HOST"],
        port=int(os.environ["REDIS_PORT"]),
        username=os.environ["REDIS_USERNAME"],
        password=Path(os.environ["REDIS_PASSWORD_FILE"]).read_text(encoding="utf-8").strip(),
    )
    chance = random.Random(1)  # noqa: S311 - not a secret
    count = mib * 2**20 // TAKEN_BYTES
    for first in range(0, count, AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for number in range(first, min(first + AT_ONCE, count)):
            pipeline.set(f"pidea:bench:{number:08}", chance.randbytes(VALUE_BYTES // 2).hex())
        pipeline.execute()


if __name__ == "__main__":
    main(int(sys.argv[1]))
