"""Questions to the servers of prod, asked inside of their containers; passwords come from the files that are there."""

from __future__ import annotations

import json
from typing import Any

from infra import names
from tests.stack.cluster import Cluster
from tests.stack.containers import Container

_REDIS = (
    f"REDISCLI_AUTH=$(cat {names.secret_path(names.REDIS_ADMIN_PASSWORD)}) "
    f'exec redis-cli --no-auth-warning --raw --user {names.REDIS_ADMIN_USERNAME} "$@"'
)
_PSQL = "psql --no-psqlrc --no-align --tuples-only --username=postgres --dbname=%s --command=%s"


def container(cluster: Cluster, member: str) -> Container:
    """The container of a service that has one task."""
    found = cluster.service(member).task.container
    assert found is not None, f"{member} does not run"
    return found


def redis(cluster: Cluster, member: str, *command: str) -> list[str]:
    """The lines of a server's answer to the administrator."""
    return _redis(cluster, member, names.REDIS_PORT, command)


def sentinel(cluster: Cluster, member: str, *command: str) -> list[str]:
    """The lines of a sentinel's answer."""
    return _redis(cluster, member, names.SENTINEL_PORT, command)


def info(lines: list[str]) -> dict[str, str]:
    """An answer to INFO."""
    return dict(line.strip().split(":", 1) for line in lines if ":" in line)


def pairs(lines: list[str]) -> dict[str, str]:
    """An answer in which names and values take turns."""
    return dict(zip(lines[::2], lines[1::2], strict=True))


def each(lines: list[str]) -> list[dict[str, str]]:
    """Several such answers, each of which begins with `name`."""
    starts = [index for index, line in enumerate(lines) if index % 2 == 0 and line == "name"]
    return [pairs(lines[start:end]) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]


def psql(cluster: Cluster, member: str, sql: str) -> str:
    """Unaligned rows, as the superuser, who needs no password on the server's own socket."""
    return str(container(cluster, member).inside.check_output(_PSQL, names.POSTGRES_DATABASE, sql))


def http_json(cluster: Cluster, member: str, port: int, path: str) -> Any:
    """What a server answers over its loopback."""
    head, _, body = container(cluster, member).fetch(port, path).replace("\r\n", "\n").partition("\n\n")
    assert " 200 " in head.splitlines()[0], head
    return json.loads(body)


def _redis(cluster: Cluster, member: str, port: int, command: tuple[str, ...]) -> list[str]:
    words = ("-p", str(port), *command)
    quoted = "".join(" %s" for _ in words)
    return str(container(cluster, member).inside.check_output(f"sh -c %s sh{quoted}", _REDIS, *words)).splitlines()
