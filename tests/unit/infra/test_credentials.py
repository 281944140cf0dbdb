"""Secrets' contents, and Redis' rights as a real server grants them."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra import names
from infra.credentials import (
    _RandomPasswordProvider,
    api_clients,
    haproxy_userlist,
    recipe_digest,
    redis_acl,
    redis_cluster_acl,
    sentinel_acl,
)
from infra.spec import SecretForm
from tests.unit.infra.waiting import eventually

# A refusal is an answer; asking again after a pause only takes time.
NO_RETRY = Retry(NoBackoff(), 0)
PASSWORDS = {
    names.REDIS_APP_USERNAME: "app-password",
    names.REDIS_EXPORTER_USERNAME: "exporter-password",
    names.REDIS_ADMIN_USERNAME: "admin-password",
    names.REDIS_BACKUP_USERNAME: "backup-password",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where a Redis can run. Not tmp_path: a socket's path may have 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="pidea-redis-") as name:
        yield Path(name)


@contextlib.contextmanager
def running(folder: Path, *more: str) -> Iterator[str]:
    """A Redis with production's users; the path of its socket."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    (folder / "users.acl").write_text(redis_acl(*((password,) for password in PASSWORDS.values())))
    options = ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--aclfile", "users.acl", *more]
    process = subprocess.Popen([binary, *options], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: (folder / "redis.sock").is_socket() or process.poll() is not None)
        assert process.poll() is None, "Redis refused its users"
        yield str(folder / "redis.sock")
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with running(folder) as socket:
        yield socket


@pytest.fixture
def ask(server: str) -> Iterator[redis.Redis]:
    """Not logged in."""
    with redis.Redis(unix_socket_path=server, retry=NO_RETRY) as client:
        yield client


@pytest.fixture
def app(server: str) -> Iterator[redis.Redis]:
    with client_of(server, names.REDIS_APP_USERNAME) as client:
        yield client


def client_of(server: str, user: str) -> redis.Redis:
    return redis.Redis(unix_socket_path=server, username=user, password=PASSWORDS[user], retry=NO_RETRY)


def test_nobody_gets_in_without_a_name(ask: redis.Redis) -> None:
    with pytest.raises(redis.AuthenticationError):
        ask.ping()


@pytest.mark.parametrize("user", PASSWORDS)
def test_a_wrong_password_is_refused(server: str, user: str) -> None:
    with (
        redis.Redis(unix_socket_path=server, username=user, password="wrong", retry=NO_RETRY) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_the_application_can_do_its_work(app: redis.Redis) -> None:
    assert app.ping()
    assert app.set("pidea:x", "1", ex=60)
    assert app.set("pidea:x", "2", nx=True, get=True, ex=60) == b"1"
    assert app.get("pidea:x") == b"1"
    assert app.mget("pidea:x", "pidea:none") == [b"1", None]
    with app.pubsub() as messages, app.pipeline(transaction=True) as both:  # type: ignore[no-untyped-call]
        messages.subscribe("pidea:invalidations")
        assert messages.get_message(timeout=5) is not None
        both.set("pidea:x", "2", ex=60)
        both.publish("pidea:invalidations", "who what")
        assert both.execute() == [True, 1]
        heard = messages.get_message(timeout=5)
        assert heard is not None
        assert heard["data"] == b"who what"
        messages.unsubscribe()
    assert app.delete("pidea:x") == 1


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "CONFIG GET *",
        "CONFIG SET maxmemory 1",
        "ACL LIST",
        "ACL WHOAMI",
        "INFO",
        "MONITOR",
        "SHUTDOWN NOSAVE",
        "ACL SETUSER app +@all",
        "XADD pidea:s * a b",
        "EVAL return(1) 0",
        "DEL other:x",
        "PUBLISH other:c x",
        "PSUBSCRIBE pidea:*",
        "GET other:x",
        "SET other:x 1",
        "MGET pidea:x other:x",
    ],
)
def test_the_application_can_do_nothing_else(app: redis.Redis, command: str) -> None:
    with pytest.raises(redis.ResponseError, match=r"no permissions|NOPERM"):
        app.execute_command(*command.split())  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("PING", True),
        ("INFO all", True),
        ("CONFIG GET maxmemory", True),
        ("SLOWLOG GET 1", True),
        ("LATENCY LATEST", True),
        ("DBSIZE", True),
        ("CONFIG SET maxmemory 1", False),
        ("CONFIG REWRITE", False),
        ("GET pidea:x", False),
        ("SET pidea:x 1", False),
        ("KEYS *", False),
        ("SLOWLOG RESET", False),
        ("CLIENT KILL TYPE normal", False),
        ("FLUSHALL", False),
    ],
)
def test_monitoring_reads_figures_and_no_data(server: str, command: str, allowed: bool) -> None:
    with client_of(server, names.REDIS_EXPORTER_USERNAME) as client:
        if allowed:
            client.execute_command(*command.split())
        else:
            with pytest.raises(redis.ResponseError, match=r"no permissions|NOPERM"):
                client.execute_command(*command.split())


def test_what_the_application_wrote_in_a_transaction_outlives_a_restart() -> None:
    """A server that starts reads its append-only file as the default user, who is off."""
    user = names.REDIS_APP_USERNAME
    with tempfile.TemporaryDirectory(prefix="pidea-redis-") as name:
        with (
            running(Path(name), "--appendonly", "yes") as socket,
            client_of(socket, user) as client,
            client.pipeline(transaction=True) as both,
        ):
            both.set("pidea:first", "1")
            both.set("pidea:second", "2")
            both.execute()
        with running(Path(name), "--appendonly", "yes") as socket, client_of(socket, user) as client:
            assert client.mget("pidea:first", "pidea:second") == [b"1", b"2"]


def test_the_administrator_can_do_everything(server: str) -> None:
    with client_of(server, names.REDIS_ADMIN_USERNAME) as client:
        assert client.execute_command("ACL", "WHOAMI") in {b"admin", "admin"}
        assert client.config_get("maxmemory-policy")


def test_the_users_file_gives_no_password_away() -> None:
    text = redis_acl(*((password,) for password in PASSWORDS.values()))
    assert not [password for password in PASSWORDS.values() if password in text]


def test_the_operators_list_is_one_user() -> None:
    assert haproxy_userlist("p").splitlines() == ["userlist operators", "  user operator insecure-password p"]


def test_every_form_of_secret_has_a_digest_of_its_own() -> None:
    assert len({recipe_digest(form) for form in SecretForm}) == len(SecretForm)


def test_a_password_is_long_random_and_stays_until_its_version_changes() -> None:
    provider = _RandomPasswordProvider()
    first, second = (provider.create({"version": 1}).outs or {} for _ in range(2))
    assert len(first["value"]) == 43
    assert first["value"] != second["value"]
    assert provider.diff("id", first, {"version": 1}).changes is False
    assert provider.diff("id", first, {"version": 2}).changes is True


def test_the_next_password_is_known_before_it_is_used() -> None:
    provider = _RandomPasswordProvider()
    first = provider.create({"version": 1}).outs or {}
    second = provider.update("id", first, {"version": 2}).outs or {}
    third = provider.update("id", second, {"version": 3}).outs or {}
    assert (second["previous"], second["value"]) == (first["value"], first["next"])
    assert (third["previous"], third["value"]) == (second["value"], second["next"])
    # The first one is out after two turns.
    assert len({first["value"], *(third[name] for name in ("previous", "value", "next"))}) == 4
    assert provider.diff("id", second, {"version": 2}).changes is False


def test_back_to_the_version_before_is_back_to_its_password() -> None:
    provider = _RandomPasswordProvider()
    first = provider.create({"version": 1}).outs or {}
    second = provider.update("id", first, {"version": 2}).outs or {}
    assert provider.update("id", second, {"version": 1}).outs == first


def test_a_state_of_before_keeps_its_password_and_gets_the_next_one() -> None:
    provider = _RandomPasswordProvider()
    old = {"version": 1, "value": "in use"}
    assert provider.diff("id", old, {"version": 1}).changes is True
    kept = provider.update("id", old, {"version": 1}).outs or {}
    assert (kept["value"], kept["previous"], len(kept["next"])) == ("in use", "", 43)
    assert provider.diff("id", kept, {"version": 1}).changes is False


@pytest.mark.parametrize("make", [redis_cluster_acl, sentinel_acl])
def test_members_of_a_cluster_take_each_others_passwords_while_they_change_over(make: Callable[..., str]) -> None:
    """Whoever has one of two versions is let in by whoever has either."""
    users = len(inspect.signature(make).parameters)
    for accepted in (("b", "a", "c"), ("c", "b", "d")):
        lines = make(*[accepted] * users).splitlines()
        logins = [line for line in lines if line.startswith("user ") and " on " in line]
        assert len(logins) == users
        for line in logins:
            assert all(f"#{hashlib.sha256(password.encode()).hexdigest()}" in line.split() for password in "bc")


def test_a_token_lasts_for_one_more_version() -> None:
    digests = [line.split()[1] for line in api_clients(("new", "old")).splitlines()]
    assert digests == [hashlib.sha256(token.encode()).hexdigest() for token in ("new", "old")]
    # There is none before the first.
    assert len(api_clients(("new", "")).splitlines()) == 1
