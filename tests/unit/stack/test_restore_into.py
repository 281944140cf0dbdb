"""A restore beside the stack: what the throw-away server may do, what is refused, and that nothing half-made stays."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from unittest import mock

import docker
import pytest
from typer.testing import CliRunner

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops import cli
from ops.errors import DeployError, HostError, OpsError, UsageError
from ops.host.endpoint import DEFAULT_SOCKET, Endpoint
from ops.stack import copies, environment, problems, restore_into, swarm, teardown, volumes
from ops.stack.backups import Service
from ops.stack.reference import Stack
from tests.unit.infra.conftest import read_config

GIB = 2**30
HERE = Endpoint(f"unix://{DEFAULT_SOCKET}", "a test")
FOREIGN = "pidea-staging-restored-foreign"


class Engine:
    """Docker, as far as it is asked. `answers` is what a server says that is asked whether it is ready: exit codes."""

    def __init__(self) -> None:
        self.create_host_config = docker.APIClient(base_url="unix:///nowhere", version="1.41").create_host_config
        self.made: dict[str, dict[str, Any]] = {}
        self.kept: dict[str, Mapping[str, str]] = {FOREIGN: {}}
        self.running: set[str] = set()
        self.answers = [1, 0]
        self.crashes = False

    def close(self) -> None:
        pass

    def inspect_container(self, container: str) -> dict[str, Any]:
        return {"Image": "sha256:backup", "State": {"Running": container in self.running and not self.crashes}}

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        self.kept[name] = labels

    def create_container(self, image: str, command: list[str], **options: Any) -> None:
        self.made[options["name"]] = {"image": image, "command": command, **options}

    def containers(self, *, all: bool, filters: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [{"Id": name, "Labels": made["labels"]} for name, made in self.made.items()]
        return [item for item in found if _fits(item["Id"], item["Labels"], filters)]

    def volumes(self, filters: dict[str, Any]) -> dict[str, Any]:
        found: list[dict[str, Any]] = [{"Name": name, "Labels": labels} for name, labels in self.kept.items()]
        return {"Volumes": [item for item in found if _fits(item["Name"], item["Labels"], filters)]}

    def remove_container(self, container: str, *, force: bool) -> None:
        assert force
        del self.made[container]

    def remove_volume(self, name: str) -> None:
        del self.kept[name]

    def start(self, container: str) -> None:
        self.running.add(container)

    def exec_create(self, container: str, command: list[str]) -> dict[str, str]:
        return {"Id": container}

    def exec_start(self, exec_id: str) -> None:
        pass

    def exec_inspect(self, exec_id: str) -> dict[str, int]:
        return {"ExitCode": self.answers.pop(0)}

    def logs(self, container: str, *, tail: int) -> bytes:
        return b"FATAL: could not open a file\n"


def _fits(name: str, labels: Mapping[str, str], filters: Mapping[str, Any]) -> bool:
    if "name" in filters:
        return str(filters["name"]).strip("^/$") in name
    wanted = [text.partition("=") for text in filters["label"]]
    return all(key in labels and (not is_said or labels[key] == value) for key, is_said, value in wanted)


@dataclasses.dataclass(frozen=True)
class Asked(Service):
    """A backup service that has what it is asked for; `asked` is everything that it was."""

    asked: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    size_bytes: int = GIB
    refuses: OpsError | None = None

    def ask(self, *arguments: str, **_: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        if self.refuses and arguments[0] == "prepare":
            raise self.refuses
        return {"at": "2026-11-25T16:00:00+00:00", "rows": {"public.messages": 7}, "bytes": self.size_bytes}

    def start(self, *arguments: str, **_: Any) -> subprocess.Popen[bytes]:
        self.asked.append(arguments)
        return subprocess.Popen(["true"], stdout=subprocess.PIPE)

    def container(self) -> tuple[Endpoint, str]:
        return HERE, "the backup service"


@pytest.fixture
def scripts() -> list[str]:
    """What was done in volumes."""
    return []


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, scripts: list[str]) -> Engine:
    made = Engine()

    @contextlib.contextmanager
    def every(_: Stack) -> Iterator[list[Engine]]:
        yield [made]

    def shell(_: volumes.Volume, script: str, stdin: IO[bytes] | None = None) -> str:
        scripts.append(script)
        return str(2 * GIB) if script.startswith("df") else ""

    monkeypatch.setattr(copies, "_every", every)
    monkeypatch.setattr(Endpoint, "client", lambda *_, **__: made)
    monkeypatch.setattr(volumes.Volume, "shell", shell)
    monkeypatch.setattr(restore_into, "_POLL_SECONDS", 0.0)
    return made


def plan() -> DeploymentPlan:
    return build_plan(StackSettings.from_config(read_config("staging")))


@pytest.fixture
def service() -> Asked:
    return Asked(Stack(environment="staging"), plan())


def bring(service: Service, name: str = "look", what: str = "postgres", at: str | None = None) -> dict[str, Any]:
    return restore_into.bring(service, name, what, at, None, lambda _: None, other_stack=False)


@pytest.mark.parametrize("what", ["postgres", "redis"])
def test_the_server_can_do_nothing_but_be_looked_into(engine: Engine, service: Asked, what: str) -> None:
    bring(service, what=what)
    made = engine.made["pidea-staging-restored-look"]
    assert made["image"] == "sha256:backup"
    assert made["user"].startswith(f"{names.BACKUP_UID}")
    assert made["labels"] == {swarm.INSTANCE_LABEL: "pidea-staging", copies.LABEL: "look"}
    assert "ports" not in made
    may = made["host_config"]
    assert (may["NetworkMode"], may["ReadonlyRootfs"], may["CapDrop"]) == ("none", True, ["ALL"])
    assert may["SecurityOpt"] == ["no-new-privileges"]
    assert "PortBindings" not in may
    (backup,) = [spec for spec in service.plan.services if spec.name == names.BACKUP]
    assert may["Memory"] == may["MemorySwap"] == backup.resources.memory_limit_bytes
    assert may["Binds"] == ["pidea-staging-restored-look:/data"]
    assert engine.running == {"pidea-staging-restored-look"}
    assert engine.answers == [], "it was waited for"


def test_a_moment_comes_back_and_the_stack_is_not_asked_to_do_anything(engine: Engine, service: Asked) -> None:
    found = bring(service, at="2026-11-25T16:00:00")
    assert service.asked == [
        ("push",),
        ("prepare", "postgres", "--at", "2026-11-25T16:00:00"),
        ("send", "postgres"),
        ("discard", "postgres"),
    ]
    assert found == {
        "server": "postgres",
        "at": "2026-11-25T16:00:00+00:00",
        "container": "pidea-staging-restored-look",
        "rows": {"public.messages": 7},
        "look": "docker exec -it pidea-staging-restored-look psql",
        "remove": "./pidea restore staging --into look --remove",
    }


def test_on_another_machine_the_command_says_where(
    engine: Engine, service: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Endpoint("ssh://admin@n3", "a test")
    monkeypatch.setattr(Asked, "container", lambda _: (there, "the backup service"))
    look = "DOCKER_HOST=ssh://admin@n3 docker exec -it pidea-staging-restored-look redis-cli -s /tmp/redis.sock"
    assert bring(service, what="redis")["look"] == look


@pytest.mark.parametrize("name", ["", "Look", "-look", "look-", "look--up", "a b", "../x", "x" * 25, "9lives"])
def test_what_cannot_be_a_name_is_refused_before_anything_is_asked(engine: Engine, service: Asked, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a copy"):
        bring(service, name)
    assert service.asked == []
    with pytest.raises(UsageError, match="cannot name a copy"):
        copies.remove(service.stack, "pidea-staging", name)


@pytest.mark.parametrize("name", ["look", "foreign"])
def test_a_name_that_is_taken_is_refused_before_anything_is_asked(engine: Engine, service: Asked, name: str) -> None:
    bring(service)
    service.asked.clear()
    with pytest.raises(UsageError, match=f"{name} is taken.*--into {name} --remove"):
        bring(service, name)
    assert service.asked == []


def test_a_server_that_does_not_start_is_gone_again(engine: Engine, service: Asked) -> None:
    engine.crashes = True
    with pytest.raises(DeployError, match="did not start on the restored files: FATAL: could not open a file"):
        bring(service)
    assert (set(engine.made), set(engine.kept)) == (set(), {FOREIGN})
    assert service.asked[-1] == ("discard", "postgres")


def test_where_there_is_no_room_nothing_stays(engine: Engine, service: Asked, scripts: list[str]) -> None:
    with pytest.raises(HostError, match="takes 2048 MiB beside the backups, and 2048 are free"):
        bring(dataclasses.replace(service, size_bytes=2 * GIB))
    assert (set(engine.made), set(engine.kept)) == (set(), {FOREIGN})
    assert not any("tar" in script for script in scripts)


def test_what_there_is_no_backup_of_makes_nothing(engine: Engine, service: Asked) -> None:
    with pytest.raises(UsageError, match="out of reach"):
        bring(dataclasses.replace(service, refuses=UsageError("1999 is out of reach")))
    assert (set(engine.made), set(engine.kept)) == (set(), {FOREIGN})


def test_a_copy_is_removed_by_its_name_and_no_other(engine: Engine, service: Asked) -> None:
    bring(service, "look")
    engine.answers = [0]
    bring(service, "other")
    copies.remove(service.stack, "pidea-staging", "look")
    assert (set(engine.made), set(engine.kept)) == (
        {"pidea-staging-restored-other"},
        {"pidea-staging-restored-other", FOREIGN},
    )
    with pytest.raises(UsageError, match="There is no copy 'look' beside staging"):
        copies.remove(service.stack, "pidea-staging", "look")


def test_all_copies_of_a_stack_go_with_it_and_none_of_another(engine: Engine, service: Asked) -> None:
    bring(service)
    engine.kept["pidea-staging-restored-left"] = {swarm.INSTANCE_LABEL: "pidea-staging", copies.LABEL: "left"}
    engine.kept["pidea-mine-restored-look"] = {swarm.INSTANCE_LABEL: "pidea-mine", copies.LABEL: "look"}
    assert copies.remove_all(service.stack, "pidea-staging") == 2
    assert (set(engine.made), set(engine.kept)) == (set(), {FOREIGN, "pidea-mine-restored-look"})


@pytest.mark.parametrize("with_data", [False, True])
def test_destroy_takes_the_copies_along(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, with_data: bool
) -> None:
    stack = Stack(environment="staging", local=tmp_path)
    bring(Asked(stack, plan()))
    pulumi = mock.MagicMock()
    pulumi.return_value.state.return_value = mock.Mock(pending=[], resources=[])
    monkeypatch.setattr(teardown, "Pulumi", pulumi)
    monkeypatch.setattr(environment, "tools", lambda: None)
    monkeypatch.setattr(problems, "locks", lambda *_: [])
    for name in ("_destroy", "_wait_until_gone"):
        monkeypatch.setattr(teardown, name, lambda *_, **__: 0)
    teardown.destroy(stack, with_data=with_data)
    assert (set(engine.made), set(engine.kept)) == (set(), {FOREIGN})


def test_remove_needs_a_name() -> None:
    done = CliRunner().invoke(cli.build(), ["restore", "staging", "--remove"])
    assert isinstance(done.exception, UsageError)
    assert "--into NAME --remove" in str(done.exception)
