"""Writes one number after the other, and says of each how it went. Runs in a container beside the cluster.

`writer.py SENTINEL,… PASSWORD_FILE RUN SECONDS [HOST]`: to the primary that the sentinels name, or to HOST.
One line of JSON for each attempt on standard output: {"id", "at", "done", "answer"}; times of the system's clock in
seconds, `answer` is `acked` (a replica has it), `unacked` (no replica within 100 ms), or the error.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import redis
from redis.sentinel import Sentinel

TIMEOUT_SECONDS = 0.5
WAIT_MILLISECONDS = 100
PAUSE_SECONDS = 0.004
USER = "admin"


def connect(sentinels: str, password: str, host: str | None) -> Any:
    options: dict[str, Any] = {
        "username": USER,
        "password": password,
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
    }
    if host:
        return redis.Redis(host=host, **options)
    addresses = [(name, 26379) for name in sentinels.split(",")]
    watchers: Any = Sentinel(addresses, sentinel_kwargs=options, **options)  # type: ignore[no-untyped-call]
    return watchers.master_for("pidea")


def main() -> None:
    sentinels, password_file, run, seconds, *host = sys.argv[1:]
    password = Path(password_file).read_text()
    client = connect(sentinels, password, host[0] if host else None)
    ends_at, number = time.time() + float(seconds), 0
    while time.time() < ends_at:
        number += 1
        at = time.time()
        try:
            calls = client.pipeline(transaction=False)
            calls.rpush(f"pidea:{run}", number)
            calls.execute_command("WAIT", 1, WAIT_MILLISECONDS)
            answer = "acked" if calls.execute()[1] >= 1 else "unacked"
        except (redis.RedisError, OSError) as error:
            answer = f"{type(error).__name__}: {error}".splitlines()[0][:100]
            client.connection_pool.disconnect()
            time.sleep(0.02)
        print(json.dumps({"id": number, "at": at, "done": time.time(), "answer": answer}), flush=True)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
