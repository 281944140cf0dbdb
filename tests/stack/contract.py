"""What a container must be by the plan: image, user, rights, mounts, limits. Each check fails by assertion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from infra import names
from infra.spec import ServiceSpec
from tests.stack.containers import Container

# In /proc/net/route: the route goes through a gateway, and so may lead out of the network.
_ROUTE_GATEWAY = 0x2
_MARK = "=====pidea====="
# One execution for all of it: a stack of three nodes has dozens of containers.
_SCRIPT = f"""
exec 2>/dev/null
id --user; id --group
echo {_MARK}; sh -c 'echo x > /written' 2>&1
echo {_MARK}; cat /proc/net/route
echo {_MARK}; find {names.SECRETS_FOLDER} -type f -exec stat --format='%n %a %u %g' {{}} +
echo {_MARK}
for config in "$@"; do stat --format=%a "$config" || echo 0; cat "$config"; printf '%s\\n' {_MARK}; done
true
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    """A container from inside. `configs` has mode and content of each configuration file by its path."""

    uid: str
    gid: str
    write_to_root: str
    routes: Sequence[str]
    secrets: Sequence[str]
    configs: Mapping[str, tuple[int, str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A container, and what was asked for: its service's specification in the plan and in the swarm, and the image.

    `networks` and `configs` are all that the plan has: names in Docker, and contents, by logical name.
    """

    container: Container
    inner: Inner
    spec: ServiceSpec
    swarm: Mapping[str, Any]
    image: str
    prefix: str
    networks: Mapping[str, str]
    configs: Mapping[str, str]

    @property
    def host(self) -> Mapping[str, Any]:
        """Docker's `HostConfig`."""
        return self.container.details["HostConfig"]  # type: ignore[no-any-return]


def look_inside(container: Container, spec: ServiceSpec) -> Inner:
    """Asks the container."""
    targets = [mount.target for mount in spec.configs]
    arguments = "".join(" %s" for _ in targets)
    said = container.inside.run(f"sh -c %s sh{arguments}", _SCRIPT, *targets)
    assert said.rc == 0, said
    ids, written, routes, secrets, *files = said.stdout.split(f"{_MARK}\n")
    uid, gid = ids.split()
    return Inner(
        uid=uid,
        gid=gid,
        write_to_root=written,
        routes=routes.splitlines()[1:],
        secrets=secrets.splitlines(),
        configs={target: _mode_and_content(file) for target, file in zip(targets, files[:-1], strict=True)},
    )


def runs_the_image_that_was_asked_for(it: Subject) -> None:
    assert it.container.is_of(it.image)


def runs_as_its_own_user(it: Subject) -> None:
    # The processes' too, not just what Docker says: an image's entrypoint could have changed it.
    ids = {number for process in it.container.processes for number in process["Uid"].split()}
    assert (f"{it.inner.uid}:{it.inner.gid}", ids) == (it.spec.user, {it.inner.uid})
    assert it.inner.uid != "0"


def root_is_read_only(it: Subject) -> None:
    assert "Read-only file system" in it.inner.write_to_root


def has_no_capability(it: Subject) -> None:
    assert not it.host["Privileged"]
    # At least the init and the server that it started.
    assert len(it.container.processes) > 1
    for process in it.container.processes:
        assert {int(process[key], 16) for key in ("CapEff", "CapPrm", "CapBnd")} == {0}


def mounts_are_those_of_the_plan(it: Subject) -> None:
    wanted = {
        *(("volume", names.physical(it.prefix, mount.volume), mount.target, True) for mount in it.spec.volumes),
        *(("bind", mount.source, mount.target, False) for mount in it.spec.host_mounts),
        *(("tmpfs", "", mount.target, True) for mount in it.spec.tmpfs),
    }
    mounts = it.container.details["Mounts"]
    found = {(m["Type"], m.get("Name") or m["Source"], m["Destination"], m["RW"]) for m in mounts}
    assert found == wanted, f"{sorted(found - wanted)} instead of {sorted(wanted - found)}"
    sizes = {m["Target"]: m["TmpfsOptions"]["SizeBytes"] for m in it.host.get("Mounts") or [] if m["Type"] == "tmpfs"}
    assert sizes == {mount.target: mount.size_bytes for mount in it.spec.tmpfs}


def is_limited(it: Subject) -> None:
    wanted = it.spec.resources
    assert it.host["Memory"] == wanted.memory_limit_bytes
    assert it.host["NanoCpus"] == int(wanted.cpu_limit * 1e9)
    reserved = it.swarm["TaskTemplate"]["Resources"]["Reservations"]
    assert reserved["MemoryBytes"] == wanted.memory_reservation_bytes


def logs_are_rotated(it: Subject) -> None:
    assert it.host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def is_started_again_and_rolled_back(it: Subject) -> None:
    restart = it.swarm["TaskTemplate"]["RestartPolicy"]
    assert (restart["Condition"], restart.get("MaxAttempts", 0)) == ("any", 0)
    update = it.swarm["UpdateConfig"]
    assert (update["FailureAction"], update["Order"]) == ("rollback", it.spec.update.order)
    assert update["Monitor"] == it.spec.update.monitor_seconds * 10**9


def is_healthy_by_a_check_that_can_fail(it: Subject) -> None:
    found = it.container.details["Config"]["Healthcheck"]
    assert found["Test"] == list(it.spec.healthcheck.command)
    assert found["Interval"] == it.spec.healthcheck.interval_seconds * 10**9
    assert it.container.details["State"]["Health"]["Status"] == "healthy"


def networks_are_those_of_the_plan(it: Subject) -> None:
    wanted = {it.networks[network] for network in it.spec.networks}
    assert set(it.container.details["NetworkSettings"]["Networks"]) == wanted


def only_the_edge_has_a_way_out(it: Subject) -> None:
    assert it.inner.routes
    leads_out = [line for line in it.inner.routes if int(line.split()[3], 16) & _ROUTE_GATEWAY]
    assert bool(leads_out) == (names.PUBLIC in it.spec.networks)


def configuration_files_are_those_of_the_plan(it: Subject) -> None:
    wanted = {mount.target: (mount.mode, it.configs[mount.config]) for mount in it.spec.configs}
    assert dict(it.inner.configs) == wanted


def secret_files_are_its_own_alone(it: Subject) -> None:
    wanted = {f"{names.secret_path(mount.target)} 400 {mount.uid} {mount.uid}" for mount in it.spec.secrets}
    assert set(it.inner.secrets) == wanted


CHECKS: Final[Mapping[str, Callable[[Subject], None]]] = {
    check.__name__: check
    for check in (
        runs_the_image_that_was_asked_for,
        runs_as_its_own_user,
        root_is_read_only,
        has_no_capability,
        mounts_are_those_of_the_plan,
        is_limited,
        logs_are_rotated,
        is_started_again_and_rolled_back,
        is_healthy_by_a_check_that_can_fail,
        networks_are_those_of_the_plan,
        only_the_edge_has_a_way_out,
        configuration_files_are_those_of_the_plan,
        secret_files_are_its_own_alone,
    )
}


def _mode_and_content(text: str) -> tuple[int, str]:
    mode, _, content = text.partition("\n")
    return int(mode, 8), content
