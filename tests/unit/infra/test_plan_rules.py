"""What holds for every plan, and what the check says about a plan that contradicts itself."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from infra import names
from infra.errors import PlanError
from infra.plan import build_plan
from infra.plan.check import check
from infra.settings import OVERRIDABLE_IMAGES, StackSettings
from infra.spec import (
    ConfigMount,
    ConfigSpec,
    DeploymentPlan,
    SecretMount,
    SecretRef,
    ServiceSpec,
    VolumeMount,
    VolumeSpec,
)
from tests.unit.infra.conftest import read_config


@pytest.fixture
def staging() -> DeploymentPlan:
    return build_plan(StackSettings.from_config(read_config("staging")))


def with_redis(plan: DeploymentPlan, **changed: Any) -> DeploymentPlan:
    """The plan with another Redis server."""
    first, *others = plan.subsystems
    server, *more = first.services
    assert server.name == names.REDIS
    services = (dataclasses.replace(server, **changed), *more)
    return dataclasses.replace(plan, subsystems=(dataclasses.replace(first, services=services), *others))


def with_more(plan: DeploymentPlan, field: str, extra: object) -> DeploymentPlan:
    """The plan with something more in its first subsystem."""
    first, *others = plan.subsystems
    changed: dict[str, Any] = {field: (*getattr(first, field), extra)}
    more = dataclasses.replace(first, **changed)
    return dataclasses.replace(plan, subsystems=(more, *others))


BROKEN: dict[str, Callable[[DeploymentPlan], DeploymentPlan]] = {
    "service redis is in the plan 2 times": lambda p: with_more(p, "services", p.subsystems[0].services[0]),
    "volume redis-data is in the plan 2 times": lambda p: with_more(
        p, "volumes", VolumeSpec(name=names.REDIS_DATA, backup="x")
    ),
    "volume more must have a backup plan or a reason why it needs none": lambda p: with_more(
        p, "volumes", VolumeSpec(name="more")
    ),
    "volume both must have a backup plan or a reason why it needs none, not both": lambda p: with_more(
        p, "volumes", VolumeSpec(name="both", backup="x", no_backup="y")
    ),
    "secret redis-acl is in the plan 2 times": lambda p: with_more(p, "secrets", SecretRef(name=names.REDIS_ACL)),
    "config redis-conf is in the plan 2 times": lambda p: with_more(
        p, "configs", ConfigSpec(name="redis-conf", content="", digest="0")
    ),
    "published port 3000 is in the plan 2 times": lambda p: with_redis(
        p, ports=tuple(port for s in p.services for port in s.ports if port.published == 3000)
    ),
    "redis uses network nowhere, which is not in the plan": lambda p: with_redis(p, networks=("nowhere",)),
    "redis uses volume lost, which is not in the plan": lambda p: with_redis(
        p, volumes=(VolumeMount(volume="lost", target="/data"),)
    ),
    "redis uses secret lost, which is not in the plan": lambda p: with_redis(
        p, secrets=(SecretMount(secret="lost", target="x", uid=1),)
    ),
    "redis uses config lost, which is not in the plan": lambda p: with_redis(
        p, configs=(ConfigMount(config="lost", target="/x"),)
    ),
    "redis uses image lost, which is not in the plan": lambda p: with_redis(p, image="lost"),
    "secret made is made of lost, which is not in the plan": lambda p: with_more(
        p, "secrets", SecretRef(name="made", sources=("lost",))
    ),
    "redis is watched for 29 s after an update, but can take 30 s to show that it is broken": lambda p: with_redis(
        p, update=dataclasses.replace(p.services[0].update, monitor_seconds=29)
    ),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_a_contradiction_is_named(staging: DeploymentPlan, problem: str) -> None:
    check(staging)
    with pytest.raises(PlanError) as caught:
        check(BROKEN[problem](staging))
    assert problem in str(caught.value).splitlines()


def test_only_the_edge_and_who_tells_alerts_have_a_way_out(plan: DeploymentPlan, settings: StackSettings) -> None:
    outward = {network.name for network in plan.networks if not network.internal}
    assert outward == {names.PUBLIC, *([names.EGRESS] if settings.alertmanager.receivers else [])}
    assert [service.name for service in plan.services if names.PUBLIC in service.networks] == [names.EDGE]
    assert {s.image for s in plan.services if names.EGRESS in s.networks} <= {names.ALERTMANAGER}
    assert [service.name for service in plan.services if service.ports] == [names.EDGE]


def test_subnets_do_not_overlap_and_hold_their_gateway(plan: DeploymentPlan) -> None:
    assert len({network.subnet for network in plan.networks}) == len(plan.networks)
    for network in plan.networks:
        assert network.gateway.rpartition(".")[0] == network.subnet.rpartition(".")[0]


def test_users_are_unprivileged_and_own_their_secrets(plan: DeploymentPlan) -> None:
    for service in plan.services:
        uid, _, gid = service.user.partition(":")
        assert int(uid) >= 10000, service.name
        assert gid == uid, service.name
        assert all(mount.uid == int(uid) and mount.mode == 0o400 for mount in service.secrets), service.name


def test_a_volume_belongs_to_one_service_of_a_node_that_is_replaced_in_place(plan: DeploymentPlan) -> None:
    # Members of a cluster have volumes of one name, each on the node that it is bound to.
    owners = [(mount.volume, service.placement.constraints) for service in plan.services for mount in service.volumes]
    assert len(set(owners)) == len(owners)
    several = Counter(volume for volume, _ in owners)
    assert {volume for volume, bound in owners if several[volume] > 1 and not bound} == set()
    assert set(several) == {volume.name for volume in plan.volumes}
    # The application's is a cache in a format that several processes may use at once.
    for service in plan.services:
        if service.volumes and service.name != names.APP:
            assert (service.replicas, service.update.order) == (1, "stop-first"), service.name


def test_host_folders_are_the_node_exporters_alone(plan: DeploymentPlan) -> None:
    assert {service.name for service in plan.services if service.host_mounts} == {names.NODE_EXPORTER}


def test_memory_limits_leave_room_above_reservations(plan: DeploymentPlan) -> None:
    for service in plan.services:
        assert service.resources.memory_reservation_bytes < service.resources.memory_limit_bytes, service.name


def test_a_task_may_stop_before_swarm_kills_it(plan: DeploymentPlan, settings: StackSettings) -> None:
    app = next(service for service in plan.services if service.name == names.APP)
    assert app.stop_grace_period_seconds > settings.app.drain_seconds


def test_staging_fits_on_a_small_machine(staging: DeploymentPlan) -> None:
    assert staging.memory_reservation_bytes < 2 * 1024**3


@pytest.mark.parametrize("image", sorted(OVERRIDABLE_IMAGES))
def test_an_upstream_image_is_checked_with_what_it_has(image: str) -> None:
    # What only stacks with TLS or several nodes have is in prod.
    stack = "prod" if image == names.BLACKBOX_EXPORTER else "staging"
    config = {**read_config(stack), "pidea:images": {image: "example.org/other:1"}}
    plan = build_plan(StackSettings.from_config(config))
    (spec,) = (i for i in plan.images if i.name == image)
    assert (spec.upstream, spec.digest, spec.base) == ("example.org/other:1", "", None)
    users = [service for service in plan.services if service.image == image]
    assert users
    assert all("http-ok" not in service.healthcheck.command for service in users)


def test_a_changed_setting_changes_the_digest_of_its_config() -> None:
    def digest(megabytes: int) -> str:
        config = {**read_config("staging"), "pidea:redis": {"maxMemoryMib": megabytes}}
        plan = build_plan(StackSettings.from_config(config))
        return next(c.digest for c in plan.configs if c.name == "redis-conf")

    assert digest(512) == digest(512)
    assert digest(512) != digest(513)


def secret_values_in(service: ServiceSpec) -> list[str]:
    """Environment variables whose name says secret, and whose value is not the path of a file."""
    return [
        name
        for name, value in service.env.items()
        if re.search(r"PASS|SECRET|TOKEN|KEY", name) and not value.startswith(names.SECRETS_FOLDER)
    ]


def test_environments_hold_paths_of_secrets_only(plan: DeploymentPlan) -> None:
    assert {service.name: secret_values_in(service) for service in plan.services if secret_values_in(service)} == {}


@pytest.mark.parametrize("version", [1, 999])
def test_names_fit_dockers_limits_for_the_longest_instance(version: int) -> None:
    longest = "a" * 24
    config = {**read_config("prod"), "pidea:instance": longest, "pidea:secretsVersion": version}
    plan = build_plan(StackSettings.from_config(config))
    # As in components/: `-v<version>-` and six digits for secrets, `-` and twelve for configs and networks.
    suffix = len(f"-v{version}-") + 6
    for service in plan.services:
        # A part of a DNS name, for which 63 is the end.
        assert len(names.physical(longest, service.name)) <= 63
    for secret in plan.secrets:
        assert len(names.physical(longest, secret.name)) + suffix <= 64
    for config_spec in plan.configs:
        assert len(names.physical(longest, config_spec.name)) + 1 + len(config_spec.digest) <= 64
