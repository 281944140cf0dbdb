"""Where backups are kept: each kind of server for real, with what it lets the stack in with; and a second place."""

from __future__ import annotations

import secrets

import pytest

from infra import names
from tests.backup.servers import Server
from tests.backup.stand import Stand

pytestmark = [pytest.mark.backup, pytest.mark.timeout(600)]

KINDS = ("rest", "s3", "sftp")


def rows(prepared: dict[str, dict[str, int]]) -> int:
    return prepared["rows"]["public.notes"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_keeps_what_comes_back(stand: Stand, kind: str) -> None:
    server = stand.server(kind)
    with stand.service(server) as service:
        before = stand.write(100)
        first = service.do("now", "postgres", "redis")
        assert first["postgres"]["bytes"] > 10_000_000
        assert service.run("ls", "/data").split().count("repository") == 0
        stand.write(50)
        service.do("push")
        assert rows(service.do("prepare", "postgres")) == before + 50
        assert service.do("drill")["rpo_seconds"] < 60
        assert service.do("verify") == {"share": "100%", **{"duration_seconds": pytest.approx(0, abs=300)}}
        assert service.do("tidy")["repository_bytes"] > 1_000_000
        listed = service.do("list")
        assert {snapshot["kind"] for snapshot in listed["snapshots"]} == {"base", "wal", "redis"}
        assert {snapshot["about"]["instance"] for snapshot in listed["snapshots"]} == {stand.prefix}
    # What a thief of the disk has is worth nothing: it is encrypted.
    found = server.run("bash", "-c", "grep -rlaE 'backup_label|pg_control' /srv 2>/dev/null | head -1")
    assert found == ""


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_not_let_in_is_told_so(stand: Stand, kind: str) -> None:
    server = stand.server(kind)
    other = stand.server(kind)
    wrong = Server(kind=kind, container=server.container, settings=server.settings, login=other.login)
    with stand.service(wrong) as service:
        refused = service.ask("list")
        assert refused.code == 5, refused.text
        assert wrong.login.strip() not in refused.text + service.run("cat", "/data/state.json")
        assert {"rest": "401", "s3": "ccess", "sftp": "ermission denied"}[kind] in refused.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_another_than_it_says_gets_nothing(stand: Stand, kind: str) -> None:
    """Its name, but not its certificate or host key: somebody in between."""
    server = stand.server(kind)
    known = {key: value for key, value in stand.server(kind).settings.items() if key in {"caCertificate", "hostKey"}}
    wrong = Server(kind=kind, container=server.container, settings={**server.settings, **known}, login=server.login)
    with stand.service(wrong) as service:
        refused = service.ask("list")
        assert refused.code == 5, refused.text
        said = {"sftp": "Host key verification failed"}.get(kind, "certificate")
        assert said in refused.text
    assert server.run("bash", "-c", "find / -xdev -name config -path '*stack*' -not -path '/proc/*' | wc -l") == "0\n"


def test_a_copy_off_site_brings_everything_back(stand: Stand) -> None:
    offsite = stand.server("s3")
    lost = stand.passwords[names.BACKUP_REPOSITORY_PASSWORD]
    with stand.service(offsite=offsite) as service:
        count = stand.write(100)
        service.do("now", "postgres", "redis")
        copied = service.do("copy")
        assert copied["snapshots"] >= 3
        again = service.do("copy")
        assert again["snapshots"] >= copied["snapshots"]
        assert service.do("verify")["offsite"]["share"] == "100%"
        service.do("tidy")
    # The machine is gone, and the volume with it. A new stack has a password of its own.
    with stand.service(offsite=offsite, password=secrets.token_urlsafe(32)) as service:
        refused = service.ask("import", "--offsite", stdin="not the password\n")
        assert refused.code == 4, refused.text
        assert "the password is wrong" in refused.text
        found = service.do("import", "--offsite", stdin=f"{lost}\n")
        assert found["snapshots"] >= 3
        service.do("now", "postgres")  # a base of the new stack does not hide what was taken over
        stand.write(1)
        assert rows(service.do("prepare", "postgres")) == count
        service.do("copy")  # it is let in from now on


def test_a_new_stack_is_let_into_the_repository_of_the_old(stand: Stand) -> None:
    server = stand.server("rest")
    with stand.service(server) as service:
        count = stand.write(100)
        service.do("now", "postgres", "redis")
    with stand.service(server, password=secrets.token_urlsafe(32)) as service:
        refused = service.ask("list")
        assert (refused.code, "the password is wrong" in refused.text) == (4, True), refused.text
        service.do("adopt", stdin=f"{stand.passwords[names.BACKUP_REPOSITORY_PASSWORD]}\n")
        assert rows(service.do("prepare", "postgres")) == count


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_network_ends_in_an_error_and_the_next_run_goes_on(stand: Stand, kind: str) -> None:
    server = stand.server(kind)
    with stand.service(server) as service:
        service.do("now", "postgres")
        server.stop()
        refused = service.ask("list")
        assert refused.code == 5, refused.text
        assert 0 < len(refused.json["error"]) < 400
        server.start()
        count = stand.write(10)
        service.do("now", "postgres", "redis")
        assert service.ask("verify").code == 0
        assert rows(service.do("prepare", "postgres")) == count


def test_what_another_stack_has_stored_is_refused_unless_it_is_meant(stand: Stand) -> None:
    with stand.service() as service:
        service.do("now", "postgres", "redis")
        for what in ("postgres", "redis"):
            refused = service.ask("prepare", what, env={"INSTANCE": "pidea-other"})
            assert refused.code == 2, refused.text
            assert f"is of {stand.prefix}, not of pidea-other" in refused.json["error"]
            meant = service.ask("prepare", what, "--other-stack", env={"INSTANCE": "pidea-other"})
            assert meant.code == 0, meant.text
