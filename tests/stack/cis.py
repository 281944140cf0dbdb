"""CIS Docker Benchmark 1.6, sections 5 and 7: what no preview can judge, on the containers of one node that came up.

One check for each row of `policies.cis.TABLE` that asks for one, by its id. A check fails with AssertionError, and with
pytest.xfail where what it asks for cannot be had.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import docker
import pytest

from infra import names
from infra import outputs as keys
from ops.host.endpoint import Endpoint
from ops.stack import swarm
from tests.stack import containers
from tests.stack.containers import Container
from tests.stack.instance import Instance

QUARTER_NANOSECONDS: Final = 90 * 24 * 3600 * 10**9
SECCOMP_FILTER: Final = "2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """One node of a stack: its containers, what its engine and its swarm say, and the image that each service has."""

    containers: Sequence[Container]
    engine: Mapping[str, Any]
    swarm: Mapping[str, Any]
    images: Mapping[str, str]


def subject_on(engine: Endpoint, stack: Instance) -> Subject:
    """What there is to judge on one node, a manager; at least one container, else AssertionError."""
    found = containers.on(engine, stack.prefix)
    assert found, f"no container of {stack.prefix} runs at {engine.url}"
    asked = stack.outputs()[keys.SERVICES]
    with swarm.client(where=engine) as api:
        return Subject(
            containers=found,
            engine=dict(api.info()),
            swarm=dict(api.inspect_swarm()),
            images={service: str(told["image"]) for service, told in asked.items()},
        )


def host_configs(subject: Subject) -> list[dict[str, Any]]:
    return [container.details["HostConfig"] for container in subject.containers]


def security_options(subject: Subject) -> set[str]:
    found = {option for host in host_configs(subject) for option in host["SecurityOpt"] or []}
    return {option.replace("=", ":") for option in found}


def statuses(container: Container, key: str) -> set[str]:
    assert container.processes, container.service
    return {process[key] for process in container.processes if key in process}  # one may end while it is read


def swarm_is_needed(subject: Subject) -> None:
    assert subject.engine["Swarm"]["LocalNodeState"] == "active"


def apparmor(subject: Subject) -> None:
    profiles = {container.details["AppArmorProfile"] for container in subject.containers}
    assert "unconfined" not in profiles
    if any("apparmor" in option for option in subject.engine["SecurityOptions"]):
        assert profiles == {"docker-default"}


def selinux(subject: Subject) -> None:
    assert not {"label:disable", "label:type:unconfined_t"} & security_options(subject)


def no_sshd(subject: Subject) -> None:
    for container in subject.containers:
        assert "sshd" not in statuses(container, "Name"), container.service


def only_the_plans_ports(subject: Subject) -> None:
    for container in subject.containers:
        bound = [port for port in (container.details["NetworkSettings"]["Ports"] or {}).values() if port]
        assert bool(bound) == (container.service == names.EDGE), container.service


def engine_ulimits(subject: Subject) -> None:
    assert not any(host["Ulimits"] for host in host_configs(subject))


def own_uts(subject: Subject) -> None:
    assert {host["UTSMode"] for host in host_configs(subject)} == {""}


def seccomp(subject: Subject) -> None:
    assert "seccomp:unconfined" not in security_options(subject)
    if any("seccomp" in option for option in subject.engine["SecurityOptions"]):
        for container in subject.containers:
            assert statuses(container, "Seccomp") == {SECCOMP_FILTER}, container.service


def executions(subject: Subject) -> list[dict[str, Any]]:
    """What is executed in the containers just now: health checks, and what a test or a person does there."""
    found = []
    for container in subject.containers:
        with swarm.client(where=container.engine) as api:
            for execution in api.inspect_container(container.id)["ExecIDs"] or []:
                with contextlib.suppress(docker.errors.NotFound):  # over
                    found.append(api.exec_inspect(execution)["ProcessConfig"])
    return found


def no_privileged_executions(subject: Subject) -> None:
    assert not any(process.get("privileged") for process in executions(subject))


def no_executions_of_root(subject: Subject) -> None:
    assert not {"0", "root"} & {str(process.get("user", "")) for process in executions(subject)}


def own_cgroups(subject: Subject) -> None:
    assert {host["CgroupParent"] for host in host_configs(subject)} == {""}


def no_rights_to_gain(subject: Subject) -> None:
    # The provider cannot ask for no-new-privileges. A bounding set of nothing is what it would give: no program,
    # setuid or not, has a capability to gain.
    for container in subject.containers:
        assert {int(value, 16) for value in statuses(container, "CapBnd")} == {0}, container.service


def the_image_that_was_asked_for(subject: Subject) -> None:
    for container in subject.containers:
        assert container.is_of(subject.images[container.service]), container.service


def process_limits(subject: Subject) -> None:
    if not all((host["PidsLimit"] or 0) > 0 for host in host_configs(subject)):
        pytest.xfail("neither the provider nor Docker 20.10 can give services a limit of processes")


def not_on_the_default_bridge(subject: Subject) -> None:
    for container in subject.containers:
        assert "bridge" not in container.details["NetworkSettings"]["Networks"], container.service


def odd_managers(subject: Subject) -> None:
    assert subject.engine["Swarm"]["Managers"] % 2 == 1


def swarm_on_an_address(subject: Subject) -> None:
    assert subject.engine["Swarm"]["NodeAddr"] not in ("", "0.0.0.0")  # noqa: S104 - what it must not be


def locked_managers(subject: Subject) -> None:
    if not subject.swarm["Spec"]["EncryptionConfig"]["AutoLockManagers"]:
        pytest.xfail("a locked manager waits for a person after every start: the swarm's owner decides")


def rotated_lock_key(subject: Subject) -> None:
    if not subject.swarm["Spec"]["EncryptionConfig"]["AutoLockManagers"]:
        pytest.xfail("there is no key where managers are not locked")


def short_lived_certificates(subject: Subject) -> None:
    assert 0 < subject.swarm["Spec"]["CAConfig"]["NodeCertExpiry"] <= QUARTER_NANOSECONDS


def one_authority(subject: Subject) -> None:
    assert not subject.swarm["RootRotationInProgress"]


def data_apart_from_management(subject: Subject) -> None:
    if subject.engine["Swarm"]["Nodes"] > 1:
        pytest.xfail("the data path's address is not told by the engine")


CHECKS: Final[dict[str, Callable[[Subject], None]]] = {
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
