"""CIS Docker Benchmark 1.6, sections 5 and 7: what no preview can judge, on the stack that came up.

One test for each row of `policies.cis.TABLE` that asks for one, by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from infra import outputs as keys
from ops.stack import settings, swarm
from ops.stack.reference import resolve
from policies.cis import TABLE
from tests.stack import containers
from tests.stack.containers import Container
from tests.stack.instance import Instance

SERVICES = [service.name for service in settings.plan_of(resolve("staging")).services]
QUARTER_NANOSECONDS: Final = 90 * 24 * 3600 * 10**9
SECCOMP_FILTER: Final = "2"


def all_of(stack: Instance) -> Iterator[tuple[str, Container]]:
    for service in SERVICES:
        for container in containers.of(stack, service):
            yield service, container


def host_configs(stack: Instance) -> list[dict[str, Any]]:
    return [container.details["HostConfig"] for _, container in all_of(stack)]


def engine() -> dict[str, Any]:
    with swarm.client() as api:
        return dict(api.info())


def swarm_spec() -> dict[str, Any]:
    with swarm.client() as api:
        return dict(api.inspect_swarm())


def security_options(stack: Instance) -> set[str]:
    found = {option for host in host_configs(stack) for option in host["SecurityOpt"] or []}
    return {option.replace("=", ":") for option in found}


def statuses(container: Container, key: str) -> set[str]:
    text = container.inside.check_output("sh -c 'cat /proc/[0-9]*/status'")
    return {line.split()[1] for line in text.splitlines() if line.startswith(f"{key}:")}


def swarm_is_needed(stack: Instance) -> None:
    assert engine()["Swarm"]["LocalNodeState"] == "active"


def apparmor(stack: Instance) -> None:
    profiles = {container.details["AppArmorProfile"] for _, container in all_of(stack)}
    assert "unconfined" not in profiles
    if any("apparmor" in option for option in engine()["SecurityOptions"]):
        assert profiles == {"docker-default"}


def selinux(stack: Instance) -> None:
    assert not {"label:disable", "label:type:unconfined_t"} & security_options(stack)


def no_sshd(stack: Instance) -> None:
    for service, container in all_of(stack):
        names = container.inside.check_output("sh -c 'cat /proc/[0-9]*/comm'").split()
        assert "sshd" not in names, service


def only_the_plans_ports(stack: Instance) -> None:
    for service, container in all_of(stack):
        bound = [port for port in (container.details["NetworkSettings"]["Ports"] or {}).values() if port]
        assert bool(bound) == (service == "edge"), service


def engine_ulimits(stack: Instance) -> None:
    assert not any(host["Ulimits"] for host in host_configs(stack))


def own_uts(stack: Instance) -> None:
    assert {host["UTSMode"] for host in host_configs(stack)} == {""}


def seccomp(stack: Instance) -> None:
    assert "seccomp:unconfined" not in security_options(stack)
    if any("seccomp" in option for option in engine()["SecurityOptions"]):
        for service, container in all_of(stack):
            assert statuses(container, "Seccomp") == {SECCOMP_FILTER}, service


def executions(stack: Instance) -> list[dict[str, Any]]:
    with swarm.client() as api:
        return [
            api.exec_inspect(execution)["ProcessConfig"]
            for _, container in all_of(stack)
            for execution in container.details["ExecIDs"] or []
        ]


def no_privileged_executions(stack: Instance) -> None:
    assert not any(process.get("privileged") for process in executions(stack))


def no_executions_of_root(stack: Instance) -> None:
    assert not {"0", "root"} & {str(process.get("user", "")) for process in executions(stack)}


def own_cgroups(stack: Instance) -> None:
    assert {host["CgroupParent"] for host in host_configs(stack)} == {""}


def no_rights_to_gain(stack: Instance) -> None:
    # The provider cannot ask for no-new-privileges. A bounding set of nothing is what it would give: no program,
    # setuid or not, has a capability to gain.
    for service, container in all_of(stack):
        assert {int(value, 16) for value in statuses(container, "CapBnd")} == {0}, service


def the_image_that_was_asked_for(stack: Instance) -> None:
    asked = stack.outputs()[keys.SERVICES]
    for service, container in all_of(stack):
        assert container.details["Image"] == asked[service]["image"], service


def process_limits(stack: Instance) -> None:
    if not all((host["PidsLimit"] or 0) > 0 for host in host_configs(stack)):
        pytest.xfail("neither the provider nor Docker 20.10 can give services a limit of processes")


def not_on_the_default_bridge(stack: Instance) -> None:
    for service, container in all_of(stack):
        assert "bridge" not in container.details["NetworkSettings"]["Networks"], service


def odd_managers(stack: Instance) -> None:
    assert engine()["Swarm"]["Managers"] % 2 == 1


def swarm_on_an_address(stack: Instance) -> None:
    assert engine()["Swarm"]["NodeAddr"] not in ("", "0.0.0.0")  # noqa: S104 - what it must not be


def locked_managers(stack: Instance) -> None:
    if not swarm_spec()["Spec"]["EncryptionConfig"]["AutoLockManagers"]:
        pytest.xfail("a locked manager waits for a person after every start: the swarm's owner decides")


def rotated_lock_key(stack: Instance) -> None:
    if not swarm_spec()["Spec"]["EncryptionConfig"]["AutoLockManagers"]:
        pytest.xfail("there is no key where managers are not locked")


def short_lived_certificates(stack: Instance) -> None:
    assert 0 < swarm_spec()["Spec"]["CAConfig"]["NodeCertExpiry"] <= QUARTER_NANOSECONDS


def one_authority(stack: Instance) -> None:
    assert not swarm_spec()["RootRotationInProgress"]


def data_apart_from_management(stack: Instance) -> None:
    if engine()["Swarm"]["Nodes"] > 1:
        pytest.xfail("the data path's address is not told by the engine")


CHECKS: Final[dict[str, Callable[[Instance], None]]] = {
    "cis-5.1": swarm_is_needed,
    "cis-5.2": apparmor,
    "cis-5.3": selinux,
    "cis-5.7": no_sshd,
    "cis-5.14": only_the_plans_ports,
    "cis-5.19": engine_ulimits,
    "cis-5.21": own_uts,
    "cis-5.22": seccomp,
    "cis-5.23": no_privileged_executions,
    "cis-5.24": no_executions_of_root,
    "cis-5.25": own_cgroups,
    "cis-5.26": no_rights_to_gain,
    "cis-5.28": the_image_that_was_asked_for,
    "cis-5.29": process_limits,
    "cis-5.30": not_on_the_default_bridge,
    "cis-7.1": odd_managers,
    "cis-7.2": swarm_on_an_address,
    "cis-7.5": locked_managers,
    "cis-7.6": rotated_lock_key,
    "cis-7.7": short_lived_certificates,
    "cis-7.8": one_authority,
    "cis-7.9": data_apart_from_management,
}


def test_every_row_that_asks_for_one_has_a_check() -> None:
    assert {row.smoke_test for row in TABLE if row.smoke_test} == set(CHECKS)


@pytest.mark.parametrize("rule", CHECKS)
def test_cis(stack: Instance, rule: str) -> None:
    CHECKS[rule](stack)
