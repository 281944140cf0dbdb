"""What goes wrong where backups are: bytes that flip, a disk that fills, a restore that is killed."""

from __future__ import annotations

import json
import os
import random
import time

import pytest

from infra import names
from tests.backup.stand import Service, Stand
from tests.stack.plain import docker

pytestmark = [pytest.mark.backup, pytest.mark.timeout(600)]

_FLIPS = 20
_DISK_MIB = 260
# 20 random places in files that are given, one byte each; prints what it has hit.
_FLIP = """
import json, os, random, sys
files, seed, count = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
sizes = [os.path.getsize(file) for file in files]
hit = []
for _ in range(count):
    file = chance.choices(files, sizes)[0]
    os.chmod(file, 0o600)
    with open(file, "r+b") as opened:
        place = chance.randrange(os.path.getsize(file))
        opened.seek(place)
        byte = opened.read(1)[0]
        opened.seek(place)
        opened.write(bytes([byte ^ (1 << chance.randrange(8))]))
    hit.append(os.path.basename(file))
print(json.dumps(hit))
"""
# Kills -9 everything in the container but its first processes: the service itself and what it always runs.
_KILL = """
import os, sys
wanted = sys.argv[1]
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        command = open(f"/proc/{pid}/cmdline").read().replace("\\0", " ")
        if wanted in command and pid != str(os.getpid()):
            os.kill(int(pid), 9)
    except OSError:
        pass
"""


def fill_redis(stand: Stand, mebibytes: int) -> None:
    """Random data under names of its own, which nothing else shares."""
    login = f"--env=REDISCLI_AUTH={stand.passwords[names.REDIS_ADMIN_PASSWORD]}"
    client = ["redis-cli", "--no-auth-warning", "--user", names.REDIS_ADMIN_USERNAME]
    for _ in range(mebibytes // 4):
        key = f"pidea:{random.randbytes(8).hex()}"  # noqa: S311 - no secret
        text = random.randbytes(2 << 20).hex()  # noqa: S311
        docker("exec", "--interactive", login, stand.container(names.REDIS), *client, "-x", "SET", key, stdin=text)


def packs(service: Service) -> set[str]:
    return set(service.run("find", "/data/repository/data", "-type", "f").split())


def newest_copy(service: Service) -> str:
    """Of Redis, its snapshot's id."""
    return str([one["id"] for one in service.do("list")["snapshots"] if one["kind"] == "redis"][-1])


def restored_keys(service: Service, snapshot: str) -> int | None:
    """How many keys of a copy of Redis come back; None where the restore says that they do not."""
    answered = service.ask("prepare", "redis", "--snapshot", snapshot)
    return int(answered.json["keys"]) if answered.code == 0 else None


def test_twenty_flipped_bytes_are_found_and_named_and_take_no_more_than_they_hit(stand: Stand) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    with stand.service() as service:
        service.do("now", "postgres")
        fill_redis(stand, 8)
        first = service.do("now", "redis")["redis"]["keys"]
        older = newest_copy(service)
        before = packs(service)
        fill_redis(stand, 48)
        service.do("now", "redis")
        # Of the packs that the second copy has added; what hits data of all snapshots damages all.
        added = sorted(packs(service) - before)
        hit = set(
            json.loads(service.run("/usr/bin/python3.11", "-c", _FLIP, json.dumps(added), str(seed), str(_FLIPS)))
        )
        verified = service.ask("verify")
        assert verified.code == 1, verified.text
        unnamed = {pack for pack in hit if pack[:8] not in verified.json["error"]}
        assert unnamed == set(), f"seed {seed}: {verified.text}"
        newer = newest_copy(service)
        # The older one is whole, and so is PostgreSQL. The newer one is refused, never half of it brought back.
        assert restored_keys(service, older) == first
        assert restored_keys(service, newer) is None, f"seed {seed}"
        count = int(stand.sql("SELECT count(*) FROM notes"))
        assert service.do("prepare", "postgres")["rows"]["public.notes"] == count
        assert 'pidea_backup_failing{backup="check"} 1' in service.metrics()
    stand.redis("FLUSHALL")


def test_a_full_disk_costs_the_backup_that_did_not_fit_and_no_other(stand: Stand) -> None:
    disk = ("--opt=type=tmpfs", "--opt=device=tmpfs", f"--opt=o=size={_DISK_MIB}m,uid=10011,gid=10011,mode=0700")
    with stand.service(volume_options=disk) as service:
        count = stand.write(10)
        service.do("now", "postgres", "redis")
        before = {one["id"] for one in service.do("list")["snapshots"]}
        service.run("bash", "-c", "head -c 1G /dev/zero >/data/full 2>/dev/null || true")
        fill_redis(stand, 24)
        refused = service.ask("now", "redis")
        assert refused.code == 3, refused.text
        assert "The backup volume is full" in refused.json["error"]
        # Asked before it begins, not found out half-way.
        no_room = service.ask("prepare", "postgres")
        assert no_room.code == 3, no_room.text
        assert "make room" in no_room.json["error"]
        service.run("rm", "/data/full")
        stand.redis("FLUSHALL")
        assert service.ask("verify").code == 0
        service.do("now", "redis")
        assert before <= {one["id"] for one in service.do("list")["snapshots"]}
        assert service.ask("verify").code == 0
        assert int(stand.sql("SELECT count(*) FROM notes")) == count


def test_a_restore_that_is_killed_at_any_moment_is_done_again(stand: Stand) -> None:
    with stand.service() as service:
        count = stand.write(10)
        service.do("now", "postgres")
        begun = time.monotonic()
        service.do("prepare", "postgres")
        whole_seconds = time.monotonic() - begun
        for part in (0.15, 0.5, 0.85, random.random()):  # noqa: S311 - no secret
            running = service.start("prepare", "postgres")
            time.sleep(part * whole_seconds)
            for victim in ("ops.backup prepare", "/data/scratch/restore", "restic"):
                service.run("/usr/bin/python3.11", "-c", _KILL, victim)
            running.communicate(timeout=60)
            assert service.do("prepare", "postgres")["rows"]["public.notes"] == count, part
        assert service.ask("verify").code == 0
