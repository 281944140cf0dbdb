"""Rows go from PostgreSQL 15 to 17 in one volume, by real servers; nothing is lost, and a difference is noticed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops.errors import DeployError, HostError
from ops.host import endpoint
from ops.stack.volumes import Volume
from ops.upgrade import bench, images, redis, transfer
from ops.upgrade.transfer import Side
from tests.backup.stand import Stand
from tests.stack.plain import docker

# The first run on a machine brings two releases of Debian up to date.
pytestmark = [pytest.mark.backup, pytest.mark.timeout(1800)]

_LEAST = {"pidea:environment": "staging", "pidea:instance": "pidea-test"}
_MEMORY = 1 << 30
_SCHEMA = """
CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT pg_monitor TO reader; CREATE DATABASE "other" OWNER reader;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE chats (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text NOT NULL, mood mood, at timestamptz,
  half double precision, many numeric[], about jsonb);
CREATE TABLE messages (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, chat uuid REFERENCES chats ON DELETE CASCADE,
  content text NOT NULL CHECK (content <> ''),
  words tsvector GENERATED ALWAYS AS (to_tsvector('english', content)) STORED);
CREATE INDEX ON messages USING gin (words); GRANT SELECT ON messages TO reader; COMMENT ON TABLE chats IS 'talk';
ALTER TABLE chats OWNER TO pidea_app; ALTER TABLE messages OWNER TO pidea_app;
INSERT INTO chats (title, mood, at, half, many, about) SELECT 'chat ' || g, 'glad', now(), random(),
  ARRAY[g, NULL, 1.50], jsonb_build_object('n', g) FROM generate_series(1, 50) g;
INSERT INTO messages (chat, content)
  SELECT id, E'CREATE ROLE postgres;\\n\\\\.\\t ünï ' || repeat(md5(random()::text), 9)
  FROM chats, generate_series(1, 40);
DELETE FROM messages WHERE id % 7 = 0;
"""


def plan(**settings: str) -> DeploymentPlan:
    return build_plan(
        StackSettings.from_config({**_LEAST, **{f"pidea:{k}": {"version": v} for k, v in settings.items()}})
    )


def image(made: DeploymentPlan, server: str) -> str:
    """Its name; built where this machine does not have it."""
    images.build(made, [server], "pidea/rootfs:bookworm", endpoint.resolve(), print)
    return images.name_of(next(spec for spec in made.images if spec.name == server))


@pytest.fixture(scope="module")
def old() -> Side:
    return Side(image=image(plan(), names.POSTGRES), folder="/data/15")


@pytest.fixture(scope="module")
def new() -> Side:
    return Side(image=image(plan(postgres="17"), names.POSTGRES), folder="/data/17")


@pytest.fixture
def filled(old: Side) -> Iterator[tuple[Stand, Volume]]:
    """A server of 15 with a bit of everything in it, stopped, and its volume."""
    made = Stand("pidea-test-upgrade")
    try:
        docker("network", "create", "--internal", made.network(names.DATA))
        served(made, _SCHEMA)
        volume = Volume(
            engine=endpoint.resolve(),
            instance=made.prefix,
            name=names.POSTGRES_DATA,
            uid=names.POSTGRES_UID,
            image=old.image,
        )
        yield made, volume
    finally:
        made.close()


def served(stand: Stand, statement: str) -> None:
    """A server on the volume, in a container of its own as Swarm would make it, that does one thing and stops."""
    stand.create(names.POSTGRES, stand.plan({}))
    docker("start", stand.container(names.POSTGRES))
    stand.wait(names.POSTGRES)
    stand.sql(statement)
    docker("stop", stand.container(names.POSTGRES), seconds=120)


def left(volume: Volume) -> list[str]:
    """What there is in the volume; no container may have stayed."""
    assert docker("ps", "--all", "--quiet", "--filter", f"name={volume.instance}-upgrade-").strip() == ""
    return sorted(volume.shell("ls /data").split())


def test_all_rows_go_across_and_the_old_files_still_serve(
    filled: tuple[Stand, Volume], old: Side, new: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand, volume = filled
    before = transfer.contents(volume, old, memory_bytes=_MEMORY)
    assert before.rows == {"public.chats": 50, "public.messages": 2000 - 2000 // 7}
    assert before.sequences == {("pidea", "public.messages_id_seq"): "2000"}

    found = transfer.transfer(volume, old, new, print, memory_bytes=_MEMORY)
    assert found == before
    assert left(volume) == ["15", "17"]
    assert transfer.contents(volume, new, memory_bytes=_MEMORY) == before
    # The folder is as the image's entrypoint makes one, checksums among it; and it begins only where it is.
    with bench.bench(volume, "new", new.image, memory_bytes=_MEMORY) as run:
        control = run("pg_controldata /data/17")
        assert "Data page checksum version:           1" in control
        assert run("PGDATA=/data/17 only-if-upgraded echo begins").strip() == "begins"
        with pytest.raises(DeployError, match=r"This is PostgreSQL 16, and the volume has rows of PostgreSQL 15"):
            run("PGDATA=/data/16 only-if-upgraded echo begins")
        assert run("cd /data && mkdir kept && mv 15 17 kept && PGDATA=/data/16 only-if-upgraded echo new") == "new\n"
        run("cd /data && mv kept/* . && rmdir kept")

    # A second run takes the rows of now, not those of then.
    docker("rm", stand.container(names.POSTGRES))
    served(stand, "INSERT INTO chats (title) VALUES ('later')")
    assert transfer.transfer(volume, old, new, print, memory_bytes=_MEMORY).rows["public.chats"] == 51

    # Rows that do not arrive, and a definition that does not: nothing is left of such a copy.
    steps = transfer._STEPS
    for lost, says in (
        (r"DELETE FROM messages WHERE id = 5", r"public.messages: 1715 rows before, 1714 after"),
        (
            r"UPDATE chats SET title = 'x' WHERE title = 'later'",
            r"chats: 51 rows before, 51 after, with other contents",
        ),
        (r"SELECT setval('messages_id_seq', 7)", r"messages_id_seq: the sequence was at 2000 before, is at 7 after"),
        (r"DROP INDEX messages_words_idx", r"not there any more: CREATE INDEX messages_words_idx"),
        (r"REVOKE SELECT ON messages FROM reader", r"not there any more: GRANT SELECT ON TABLE public.messages TO rea"),
    ):
        spoiled = f'psql -XAtq --port=5433 --dbname=pidea --command="{lost}" >/dev/null\n    vacuumdb --port=5433'
        monkeypatch.setattr(transfer, "_STEPS", steps.replace("vacuumdb --port=5433", spoiled))
        with pytest.raises(DeployError, match=says):
            transfer.transfer(volume, old, dataclasses.replace(new, folder="/data/17b"), print, memory_bytes=_MEMORY)
        assert left(volume) == ["15", "17"]


def test_an_interrupted_run_leaves_nothing_and_a_killed_one_is_cleared_away(
    filled: tuple[Stand, Volume], old: Side, new: Side
) -> None:
    _, volume = filled

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        transfer.transfer(volume, old, new, interrupt, memory_bytes=_MEMORY)
    assert left(volume) == ["15"]
    # What a killed run leaves: a container that works on the files, and half of a copy.
    name = f"{volume.instance}-upgrade-new"
    docker("run", "--detach", f"--name={name}", "--entrypoint=", new.image, "sleep", "600")
    volume.shell("mkdir /data/17.new /data/17; touch /data/17/half")
    assert transfer.transfer(volume, old, new, print, memory_bytes=_MEMORY).rows["public.chats"] == 50
    assert left(volume) == ["15", "17"]
    assert volume.shell("ls /data/17").count("half") == 0


def test_a_version_that_debian_does_not_have_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(HostError, match=r"does not offer postgres in the version.*it offers .*15\.\d+.*Nothing was"):
        image(plan(postgres="15.99"), names.POSTGRES)


def test_the_images_have_the_versions_that_were_named(new: Side) -> None:
    engine = endpoint.resolve()
    assert images.version_in(new.image, names.POSTGRES, engine).startswith("17.")
    assert images.version_in(image(plan(redis="8"), names.REDIS), names.REDIS, engine).startswith("8.")
    assert images.version_in(image(plan(), names.REDIS), names.REDIS, engine).startswith("7.")


def test_keys_are_counted_in_the_files_and_a_newer_redis_reads_them() -> None:
    older, newer = image(plan(), names.REDIS), image(plan(redis="8"), names.REDIS)
    volume = Volume(
        engine=endpoint.resolve(),
        instance="pidea-test-upgrade",
        name=names.REDIS_DATA,
        uid=names.REDIS_UID,
        image=older,
    )
    name = f"{volume.instance}-{volume.name}"
    docker("volume", "create", name)
    try:
        docker("run", "--rm", "--user=0", "--entrypoint=", f"--volume={name}:/data", older, "chown", "10002", "/data")
        with bench.bench(volume, "old", older, memory_bytes=_MEMORY) as run:
            run(
                "redis-server --port 0 --unixsocket /tmp/s --dir /data --appendonly yes --save '' --daemonize yes\n"
                "until redis-cli -s /tmp/s PING | grep -q PONG; do sleep 0.1; done\n"
                "for n in $(seq 20); do echo SET stays$n $n; echo SET goes$n $n EX 60; done | redis-cli -s /tmp/s\n"
                "redis-cli -s /tmp/s BGREWRITEAOF; sleep 1; redis-cli -s /tmp/s HSET stays x y\n"
                "redis-cli -s /tmp/s SHUTDOWN"
            )
        for made in (older, newer):
            with bench.bench(volume, "old", made, memory_bytes=_MEMORY) as run:
                most, least = (int(number) for number in run(redis._COUNT).split())
            assert least == 21
            assert 21 <= most <= 41
    finally:
        docker("volume", "rm", "--force", name, check=False)
