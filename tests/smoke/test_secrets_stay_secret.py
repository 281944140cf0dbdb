"""No password is where somebody who may not know it could read it."""

from __future__ import annotations

import base64
import json

import psutil
import pytest

from infra import names
from ops.stack import logs, settings, swarm
from ops.stack.reference import resolve
from tests.stack import containers
from tests.stack.instance import Instance
from tests.stack.passwords import found_in, passwords

SERVICES = [service.name for service in settings.plan_of(resolve("staging")).services]


@pytest.fixture
def values(stack: Instance) -> dict[str, str]:
    """The real passwords by name."""
    return passwords(stack)


def test_the_values_are_the_real_ones(stack: Instance, values: dict[str, str]) -> None:
    """Or every other test in this file would find nothing for the wrong reason."""
    container = containers.of(stack, names.APP)[0]
    path = names.secret_path(names.POSTGRES_APP_PASSWORD)
    mounted = container.inside.file(path).content_string
    assert found_in(mounted, values) == [names.POSTGRES_APP_PASSWORD]


@pytest.mark.parametrize("service", SERVICES)
def test_not_in_what_docker_tells(stack: Instance, values: dict[str, str], service: str) -> None:
    with swarm.client() as api:
        told = json.dumps(api.inspect_service(names.physical(stack.prefix, service)))  # type: ignore[no-untyped-call]
        tasks = json.dumps(api.tasks({"service": names.physical(stack.prefix, service)}))  # type: ignore[no-untyped-call]
    inspected = json.dumps([container.details for container in containers.of(stack, service)])
    assert "Config" in inspected
    assert found_in(told + tasks + inspected, values) == []


@pytest.mark.parametrize("service", SERVICES)
def test_not_in_the_environment_of_processes(stack: Instance, values: dict[str, str], service: str) -> None:
    for container in containers.of(stack, service):
        # All that last: a health check's own process may have the one password that it asks with.
        script = r"for pid in 1 $(cat /proc/1/task/1/children); do tr '\0' '\n' < /proc/$pid/environ; done"
        environment = container.inside.check_output("sh -c %s", script)
        assert "PATH=" in environment
        assert found_in(environment, values) == []


@pytest.mark.parametrize("service", SERVICES)
def test_not_in_the_logs(stack: Instance, values: dict[str, str], service: str) -> None:
    with swarm.client() as api:
        written = list(logs.lines(api, stack.prefix, service, follow=False, tail=10_000))
    assert found_in("\n".join(written), values) == []


@pytest.mark.parametrize("service", SERVICES)
def test_not_on_command_lines_in_containers(stack: Instance, values: dict[str, str], service: str) -> None:
    for container in containers.of(stack, service):
        script = r"for f in /proc/[0-9]*/cmdline; do tr '\0' ' ' < $f 2>/dev/null; echo; done; true"
        lines = container.inside.check_output("sh -c %s", script)
        assert "tini" in lines
        assert found_in(lines, values) == []


def test_not_in_the_process_list_of_the_machine(stack: Instance, values: dict[str, str]) -> None:
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert any("redis-server" in line for line in lines), "containers are not seen from here"
    assert found_in("\n".join(lines), values) == []


def test_not_in_configs_or_labels(stack: Instance, values: dict[str, str]) -> None:
    with swarm.client() as api:
        configs = [
            item
            for item in api.configs()  # type: ignore[no-untyped-call]
            if item["Spec"]["Name"].startswith(f"{stack.prefix}-")
        ]
        others = json.dumps([api.secrets(), api.networks(), api.volumes()])
    assert len(configs) == len(stack.plan.configs)
    content = "\n".join(base64.b64decode(item["Spec"]["Data"]).decode() for item in configs)
    assert "maxmemory" in content
    assert found_in(content + json.dumps(configs) + others, values) == []


def test_not_in_the_files_of_the_state(stack: Instance, values: dict[str, str]) -> None:
    files = [path for path in stack.stack.folder.rglob("*") if path.is_file()]
    content = "\n".join(path.read_bytes().decode(errors="replace") for path in files)
    assert "password-redis-app-password" in content, "this is not where the state is"
    assert found_in(content, values) == []


def test_the_passphrase_is_for_its_owner_alone(stack: Instance) -> None:
    assert (stack.stack.folder / "passphrase").stat().st_mode & 0o777 == 0o600
    assert (stack.stack.folder / "state").stat().st_mode & 0o777 == 0o700
