"""Every container is what the plan says: image, user, rights, mounts, limits."""

from __future__ import annotations

from typing import Any

import pytest

from infra import names
from infra import outputs as keys
from infra.spec import ServiceSpec
from ops.stack import settings, swarm
from ops.stack.reference import resolve
from tests.stack import containers
from tests.stack.instance import Instance

SERVICES = [service.name for service in settings.plan_of(resolve("staging")).services]
# In /proc/net/route: the route goes through a gateway, and so may lead out of the network.
ROUTE_GATEWAY = 0x2

pytestmark = pytest.mark.parametrize("service", SERVICES)


def test_runs_the_image_that_was_asked_for(stack: Instance, service: str) -> None:
    asked = stack.outputs()[keys.SERVICES][service]
    running = containers.of(stack, service)
    assert len(running) == asked["replicas"]
    assert {container.details["Image"] for container in running} == {asked["image"]}


def test_runs_as_its_own_user(stack: Instance, service: str) -> None:
    wanted = _spec(stack, service).user
    for container in containers.of(stack, service):
        uid, gid = (container.inside.check_output(f"id --{which}") for which in ("user", "group"))
        # Of the server itself, behind the init: an image's entrypoint could have changed it.
        ids = {
            line.split()[1]
            for process in _processes(container)
            for line in process.splitlines()
            if line.startswith("Uid:")
        }
        assert (f"{uid}:{gid}", ids) == (wanted, {uid})
        assert uid != "0"


def test_root_is_read_only(stack: Instance, service: str) -> None:
    for container in containers.of(stack, service):
        refused = container.inside.run("sh -c 'echo x > /written'")
        assert refused.rc != 0
        assert "Read-only file system" in refused.stderr


def test_has_no_capability(stack: Instance, service: str) -> None:
    for container in containers.of(stack, service):
        assert not container.details["HostConfig"]["Privileged"]
        sets = [
            line.split()[1]
            for process in _processes(container)
            for line in process.splitlines()
            if line.startswith(("CapEff:", "CapPrm:", "CapBnd:"))
        ]
        assert len(sets) >= 3
        assert {int(value, 16) for value in sets} == {0}


def test_mounts_are_those_of_the_plan(stack: Instance, service: str) -> None:
    spec = _spec(stack, service)
    wanted = {
        *(("volume", names.physical(stack.prefix, mount.volume), mount.target, True) for mount in spec.volumes),
        *(("bind", mount.source, mount.target, False) for mount in spec.host_mounts),
        *(("tmpfs", "", mount.target, True) for mount in spec.tmpfs),
    }
    for container in containers.of(stack, service):
        mounts = container.details["Mounts"]
        found = {(m["Type"], m.get("Name") or m["Source"], m["Destination"], m["RW"]) for m in mounts}
        assert found == wanted
        sizes = {
            m["Target"]: m["TmpfsOptions"]["SizeBytes"]
            for m in container.details["HostConfig"].get("Mounts") or []
            if m["Type"] == "tmpfs"
        }
        assert sizes == {mount.target: mount.size_bytes for mount in spec.tmpfs}


def test_is_limited(stack: Instance, service: str) -> None:
    wanted = _spec(stack, service).resources
    for container in containers.of(stack, service):
        host = container.details["HostConfig"]
        assert host["Memory"] == wanted.memory_limit_bytes
        assert host["NanoCpus"] == int(wanted.cpu_limit * 1e9)
    task = _swarm_spec(stack, service)["TaskTemplate"]
    assert task["Resources"]["Reservations"]["MemoryBytes"] == wanted.memory_reservation_bytes


def test_logs_are_rotated(stack: Instance, service: str) -> None:
    for container in containers.of(stack, service):
        log = container.details["HostConfig"]["LogConfig"]
        assert log == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def test_is_started_again_and_rolled_back(stack: Instance, service: str) -> None:
    spec = _spec(stack, service)
    found = _swarm_spec(stack, service)
    restart = found["TaskTemplate"]["RestartPolicy"]
    assert (restart["Condition"], restart.get("MaxAttempts", 0)) == ("any", 0)
    update = found["UpdateConfig"]
    assert (update["FailureAction"], update["Order"]) == ("rollback", spec.update.order)
    assert update["Monitor"] == spec.update.monitor_seconds * 10**9


def test_is_healthy_by_a_check_that_can_fail(stack: Instance, service: str) -> None:
    check = _spec(stack, service).healthcheck
    for container in containers.of(stack, service):
        found = container.details["Config"]["Healthcheck"]
        assert found["Test"] == list(check.command)
        assert found["Interval"] == check.interval_seconds * 10**9
        assert container.details["State"]["Health"]["Status"] == "healthy"


def test_networks_are_those_of_the_plan(stack: Instance, service: str) -> None:
    known = stack.outputs()[keys.NETWORKS]
    wanted = {known[network] for network in _spec(stack, service).networks}
    for container in containers.of(stack, service):
        assert set(container.details["NetworkSettings"]["Networks"]) == wanted


def test_only_the_edge_has_a_way_out(stack: Instance, service: str) -> None:
    for container in containers.of(stack, service):
        routes = container.inside.file("/proc/net/route").content_string.splitlines()[1:]
        assert routes
        leads_out = [line for line in routes if int(line.split()[3], 16) & ROUTE_GATEWAY]
        assert bool(leads_out) == (names.PUBLIC in _spec(stack, service).networks)


def test_configuration_files_are_those_of_the_plan(stack: Instance, service: str) -> None:
    contents = {config.name: config.content for config in stack.plan.configs}
    for container in containers.of(stack, service):
        for mount in _spec(stack, service).configs:
            assert container.inside.file(mount.target).content_string == contents[mount.config]
            mode = container.inside.check_output("stat --format=%s %s", "%a", mount.target)
            assert int(mode, 8) == mount.mode


def test_secret_files_are_its_own_alone(stack: Instance, service: str) -> None:
    mounts = _spec(stack, service).secrets
    for container in containers.of(stack, service):
        script = f"find {names.SECRETS_FOLDER} -type f -exec stat --format='%n %a %u %g' {{}} + 2>/dev/null || true"
        listed = container.inside.check_output("sh -c %s", script)
        wanted = {f"{names.secret_path(mount.target)} 400 {mount.uid} {mount.uid}" for mount in mounts}
        assert set(listed.splitlines()) == wanted


def _spec(stack: Instance, service: str) -> ServiceSpec:
    return next(spec for spec in stack.plan.services if spec.name == service)


def _swarm_spec(stack: Instance, service: str) -> Any:
    with swarm.client() as api:
        return api.inspect_service(names.physical(stack.prefix, service))["Spec"]  # type: ignore[no-untyped-call]


def _processes(container: containers.Container) -> list[str]:
    """The status of the init, and of the server that it started."""
    script = "for pid in 1 $(cat /proc/1/task/1/children); do cat /proc/$pid/status; echo ---; done"
    found = str(container.inside.check_output("sh -c %s", script)).split("---")[:-1]
    assert len(found) > 1
    return found
