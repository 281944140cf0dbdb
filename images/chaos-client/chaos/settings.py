"""What the service tells: who is there, and where the passwords are. No password is in the environment."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

PORTS = {"redis": 6379, "sentinel": 26379, "postgres": 5432, "patroni": 8008}


@dataclasses.dataclass(frozen=True)
class Account:
    """A user, and the file with the password; None where none is asked for."""

    username: str | None
    password: str | None


@dataclasses.dataclass(frozen=True)
class Settings:
    """`redis`, `sentinels`, `postgres`: member → host. Without sentinels the only Redis is the primary.

    `ports` are those of redis, sentinel, postgres and patroni.
    """

    run: str
    slot: int
    seconds: float
    writes_per_second: float
    redis: Mapping[str, str]
    sentinels: Mapping[str, str]
    postgres: Mapping[str, str]
    ports: Mapping[str, int]
    service: str
    database: str
    redis_account: Account
    sentinel_account: Account
    postgres_account: Account
    # May read how standbys are doing.
    statistics_account: Account

    def member(self, host: str) -> str:
        """The member that has this name in the network; the name itself where none has."""
        known = {**self.redis, **self.sentinels, **self.postgres}
        return next((member for member, name in known.items() if name == host), host)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings. KeyError names what is missing."""

    def account(name: str) -> Account:
        path = environ.get(f"{name}_PASSWORD_FILE", "")
        password = Path(path).read_text(encoding="utf-8").strip() if path else None
        return Account(environ.get(f"{name}_USERNAME") or None, password)

    return Settings(
        run=environ["CHAOS_RUN"],
        slot=int(environ["CHAOS_SLOT"]),
        seconds=float(environ["CHAOS_SECONDS"]),
        writes_per_second=float(environ["CHAOS_WRITES_PER_SECOND"]),
        redis=json.loads(environ["CHAOS_REDIS"]),
        sentinels=json.loads(environ["CHAOS_SENTINELS"]),
        postgres=json.loads(environ["CHAOS_POSTGRES"]),
        ports={**PORTS, **json.loads(environ.get("CHAOS_PORTS", "{}"))},
        service=environ.get("CHAOS_SENTINEL_SERVICE", ""),
        database=environ["CHAOS_DATABASE"],
        redis_account=account("CHAOS_REDIS"),
        sentinel_account=account("CHAOS_SENTINEL"),
        postgres_account=account("CHAOS_POSTGRES"),
        statistics_account=account("CHAOS_STATISTICS"),
    )
