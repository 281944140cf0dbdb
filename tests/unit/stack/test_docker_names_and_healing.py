"""Foreign names, interrupted runs and failed tasks, with a real engine."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator

import docker
import pytest

from infra.spec import DeploymentPlan, NetworkSpec, SubsystemSpec, VolumeSpec
from ops.errors import HostError
from ops.stack import heal, preflight, swarm
from ops.stack.events import EventLog
from tests.unit.stack.conftest import Project

pytestmark = [pytest.mark.stack, pytest.mark.toolchain]

VOLUME_PROGRAM = """
    import pulumi_docker

    label = pulumi_docker.VolumeLabelArgs(label="{label}", value="{instance}")
    pulumi_docker.Volume("volume-data", name="{name}", labels=[label])
"""


@pytest.fixture
def api() -> Iterator[docker.APIClient]:
    with swarm.client() as client:
        yield client


@pytest.fixture
def instance(api: docker.APIClient) -> Iterator[str]:
    """A name that nobody has; what is made under it is removed."""
    name = f"pidea-u{secrets.token_hex(4)}"
    yield name
    for _ in range(20):  # under load Swarm brings a network back that is removed while it is being made
        for network in api.networks(names=[network_name(name)]):
            api.remove_network(network["Id"])
        time.sleep(0.1)
    with contextlib.suppress(docker.errors.NotFound):
        api.remove_volume(f"{name}-data")


def plan(instance: str) -> DeploymentPlan:
    """A plan of one network and one volume."""
    volume = VolumeSpec(name="data")
    return DeploymentPlan(
        environment="staging",
        instance=instance,
        nodes=1,
        secrets_version=1,
        registry=None,
        networks=(NetworkSpec(name="web", subnet="10.254.250.0/24", gateway="10.254.250.1"),),
        images=(),
        subsystems=(SubsystemSpec(name="store", services=(), volumes=(volume,), secrets=(), configs=()),),
    )


def network_name(instance: str) -> str:
    """As the program names a network."""
    return f"{instance}-web-0123456789ab"


def pending(stack: str, kind: str, type_: str, name: str) -> dict[str, object]:
    """A create that began, as Pulumi records it."""
    urn = f"urn:pulumi:{stack}::pidea::{type_}::{kind}-{name}"
    resource = {"urn": urn, "custom": True, "type": type_, "inputs": {"name": name}, "outputs": {}}
    return {"resource": resource, "type": "creating"}


def test_free_names_pass(instance: str) -> None:
    preflight.check(plan(instance), ())


def test_a_volume_that_we_did_not_make_is_named_and_kept(api: docker.APIClient, instance: str) -> None:
    api.create_volume(f"{instance}-data")
    with pytest.raises(HostError, match=f"The volume {instance}-data exists and was not made by this project"):
        preflight.check(plan(instance), ())
    assert api.inspect_volume(f"{instance}-data")


def test_a_volume_of_a_lost_state_is_used_again(api: docker.APIClient, instance: str) -> None:
    api.create_volume(f"{instance}-data", labels={swarm.INSTANCE_LABEL: instance})
    preflight.check(plan(instance), ())


def test_a_network_of_a_lost_state_is_told_apart(api: docker.APIClient, instance: str) -> None:
    api.create_network(network_name(instance), driver="overlay", labels={swarm.INSTANCE_LABEL: instance})
    with pytest.raises(
        HostError, match=f"The network {network_name(instance)} exists and is left of a stack whose state is gone"
    ):
        preflight.check(plan(instance), ())
    preflight.check(plan(instance), [network_name(instance)])


def test_healing_keeps_volumes_removes_the_rest_and_leaves_what_is_not_ours(
    project: Project, api: docker.APIClient, instance: str
) -> None:
    project.program(VOLUME_PROGRAM.format(name=f"{instance}-data", label=swarm.INSTANCE_LABEL, instance=instance))
    project.is_up()
    made = api.inspect_volume(f"{instance}-data")
    api.create_network(network_name(instance), driver="overlay", labels={swarm.INSTANCE_LABEL: instance})
    foreign = api.create_network(f"{instance}-foreign", driver="overlay")
    try:
        _forget(project, [network_name(instance), f"{instance}-foreign"])
        state = project.pulumi.state()
        assert state is not None
        assert len(state.pending) == 3
        healed = heal.heal(project.pulumi, state, instance)
        assert healed.pending == ()
        names = {network["Name"] for network in api.networks()}
        assert network_name(instance) not in names
        assert f"{instance}-foreign" in names
        project.is_up()
        assert api.inspect_volume(f"{instance}-data")["CreatedAt"] == made["CreatedAt"]
    finally:
        api.remove_network(foreign["Id"])


def _forget(project: Project, networks: list[str]) -> None:
    """Makes the state that of a run that was killed while it made the volume and `networks`."""
    folder = project.pulumi.backend.folder
    assert folder is not None
    file = folder / ".pulumi" / "stacks" / "pidea" / "staging.json"
    content = json.loads(file.read_text())
    latest = content["checkpoint"]["latest"]
    (volume,) = (item for item in latest["resources"] if item["type"] == "docker:index/volume:Volume")
    latest["resources"].remove(volume)
    begun = {key: value for key, value in volume.items() if key not in {"id", "outputs"}}
    latest["pending_operations"] = [
        {"resource": begun, "type": "creating"},
        *(pending("staging", "network", "docker:index/network:Network", name) for name in networks),
    ]
    file.write_text(json.dumps(content))


def test_the_log_counts_nothing_for_an_unchanged_project(project: Project) -> None:
    project.is_up()
    log = EventLog()
    project.up(log)
    assert log.changed == {}
