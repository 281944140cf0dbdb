"""The plan as resources: what Docker and Pulumi are really asked for."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import names, outputs
from infra.components import images
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan, SecretForm
from tests.unit.infra.conftest import read_config
from tests.unit.infra.recording import IMAGE_ID, PASSWORD, Recording, Registration, Secret, record

SERVICE = "docker:index/service:Service"
SECRET = "docker:index/secret:Secret"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, Any]], Recording]:
    """Runs the program without touching the repository's folder or the shell's configuration."""
    monkeypatch.delenv("PULUMI_CONFIG", raising=False)
    monkeypatch.setattr(images, "_CONTEXTS", tmp_path / "contexts")
    return record


@pytest.fixture
def recording(config: dict[str, Any], recorded: Callable[[dict[str, Any]], Recording]) -> Recording:
    return recorded(config)


def seconds(duration: str) -> int:
    """Docker's `1m5s` as a number."""
    found = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration)
    assert found, duration
    return int(found[1] or 0) * 60 + int(found[2] or 0)


def everything(value: Any) -> list[str]:
    """Every text in a value; of secrets only what is not kept encrypted, which is nothing."""
    if isinstance(value, Secret):
        return []
    if isinstance(value, dict):
        return [text for found in value.values() for text in everything(found)]
    if isinstance(value, list):
        return [text for found in value for text in everything(found)]
    return [str(value)]


def test_every_part_of_the_plan_becomes_a_resource(recording: Recording, plan: DeploymentPlan) -> None:
    def count(type_: str) -> int:
        return len(recording.of(f"docker:index/{type_}"))

    assert set(recording.containers()) == {service.name for service in plan.services}
    assert count("volume:Volume") == len(plan.volumes)
    assert count("network:Network") == len(plan.networks)
    assert count("secret:Secret") == len(plan.secrets)
    assert count("serviceConfig:ServiceConfig") == len(plan.configs)
    assert count("remoteImage:RemoteImage") == len(plan.images)


def test_containers_are_confined(recording: Recording) -> None:
    for name, container in recording.containers().items():
        assert container["readOnly"] is True, name
        assert container["capDrops"] == ["ALL"], name
        assert "capAdds" not in container, name
        assert int(container["user"].split(":")[0]) >= 10000, name
        assert all(m.get("readOnly") is True for m in container.get("mounts", []) if m["type"] == "bind"), name


def test_containers_have_a_health_check_and_time_to_stop(recording: Recording) -> None:
    for name, container in recording.containers().items():
        assert container["healthcheck"]["tests"][0] in {"CMD", "CMD-SHELL"}, name
        assert container["healthcheck"]["retries"] >= 1, name
        assert seconds(container["stopGracePeriod"]) >= 10, name


def test_a_bad_version_is_seen_and_rolled_back(recording: Recording) -> None:
    for name, service in recording.of(SERVICE).items():
        update, check = service.inputs["updateConfig"], service.inputs["taskSpec"]["containerSpec"]["healthcheck"]
        worst = seconds(check["startPeriod"]) + seconds(check["interval"]) * check["retries"]
        assert update["failureAction"] == "rollback", name
        assert seconds(update["monitor"]) >= worst, name
        assert float(update["maxFailureRatio"]) == 0, name
        assert service.inputs["rollbackConfig"]["order"] == update["order"], name
        assert seconds(service.inputs["convergeConfig"]["timeout"]) > seconds(update["monitor"]), name


def test_logs_are_rotated_and_memory_is_limited(recording: Recording) -> None:
    for name, service in recording.of(SERVICE).items():
        task = service.inputs["taskSpec"]
        assert set(task["logDriver"]["options"]) == {"max-size", "max-file"}, name
        assert task["resources"]["limits"]["memoryBytes"] > task["resources"]["reservation"]["memoryBytes"] > 0, name
        assert task["resources"]["limits"]["nanoCpus"] > 0, name
        assert task["restartPolicy"]["condition"] == "any", name


def test_only_the_edge_publishes_ports_and_never_through_the_routing_mesh(recording: Recording) -> None:
    published = {
        name: service.inputs["endpointSpec"].get("ports", []) for name, service in recording.of(SERVICE).items()
    }
    assert {name for name, ports in published.items() if ports} == {"service-edge"}
    assert {port["publishMode"] for port in published["service-edge"]} == {"host"}
    assert {service.inputs["endpointSpec"]["mode"] for service in recording.of(SERVICE).values()} == {"dnsrr"}


def test_secrets_are_files_for_one_user(recording: Recording) -> None:
    for name, container in recording.containers().items():
        for mount in container.get("secrets", []):
            assert mount["fileMode"] == 0o400, name
            assert f"{mount['fileUid']}:{mount['fileGid']}" == container["user"], name


def test_volumes_are_protected(recording: Recording) -> None:
    volumes = recording.of("docker:index/volume:Volume")
    assert volumes
    assert all(volume.protect for volume in volumes.values())


def test_contents_of_secrets_are_kept_encrypted(recording: Recording, plan: DeploymentPlan) -> None:
    for name, secret in recording.of(SECRET).items():
        assert isinstance(secret.inputs["data"], Secret), name
        assert "data" in secret.secret_outputs, name
    passwords = recording.of("pulumi-python:dynamic:Resource")
    assert len(passwords) == sum(secret.form is SecretForm.RANDOM for secret in plan.secrets)
    assert all("value" in password.secret_outputs for password in passwords.values())


def test_no_password_is_anywhere_in_the_clear(recording: Recording) -> None:
    for resource in recording.resources:
        assert not [text for text in everything(dict(resource.inputs)) if PASSWORD in text], resource.name
    # And the search finds what it looks for, where it may be.
    exporter = next(s for name, s in recording.of(SECRET).items() if name.startswith("secret-redis-exporter-password-"))
    assert PASSWORD in base64.b64decode(exporter.inputs["data"].value).decode()


def test_services_find_networks_by_id_and_secrets_by_versioned_name(recording: Recording) -> None:
    for name, service in recording.of(SERVICE).items():
        attached = [network["id"] for network in service.inputs["taskSpec"]["networksAdvanceds"]]
        assert attached, name
        assert all(id_.startswith("id-of-network-") for id_ in attached), name
        for mount in service.inputs["taskSpec"]["containerSpec"].get("secrets", []):
            # What is not made has the digest of its content instead.
            version = r"-[0-9a-f]{12}$" if mount["fileName"] == names.EDGE_CERTIFICATE else r"-v1-[0-9a-f]{6}$"
            assert re.search(version, mount["secretName"]), name


def test_a_config_is_what_the_plan_says_under_a_name_of_its_content(recording: Recording, plan: DeploymentPlan) -> None:
    made = {
        config.inputs["name"]: config for config in recording.of("docker:index/serviceConfig:ServiceConfig").values()
    }
    for config in plan.configs:
        found = made[f"{plan.instance}-{config.name}-{config.digest}"]
        assert base64.b64decode(found.inputs["data"]).decode() == config.content


def replaceable(recording: Recording) -> list[Registration]:
    """What Docker does not let go while a service uses it, so that the new one must come first."""
    types = {"docker:index/network:Network", SECRET, "docker:index/serviceConfig:ServiceConfig"}
    return [resource for resource in recording.resources if resource.type in types]


def test_what_services_hold_on_to_is_not_deleted_before_they_let_go(recording: Recording) -> None:
    assert replaceable(recording)
    assert not [resource.name for resource in replaceable(recording) if resource.delete_before_replace]


@pytest.mark.parametrize("key", ["version", "network"])
def test_a_change_makes_a_new_one_beside_the_old(recorded: Callable[[dict[str, Any]], Recording], key: str) -> None:
    """Both names must differ: the engine's, or it would replace; and Docker's, or they would collide."""
    config = read_config("staging")
    changes: dict[str, dict[str, Any]] = {
        "version": {"pidea:secretsVersion": 2},
        "network": {"pidea:network": {"cidr": "10.99.0.0/16"}},
    }
    type_ = {"version": SECRET, "network": "docker:index/network:Network"}[key]
    before, after = recorded(config).of(type_), recorded({**config, **changes[key]}).of(type_)
    assert before.keys().isdisjoint(after.keys())
    assert {r.inputs["name"] for r in before.values()}.isdisjoint(r.inputs["name"] for r in after.values())


def test_physical_names_and_labels_carry_the_instance(recording: Recording, plan: DeploymentPlan) -> None:
    for resource in recording.resources:
        kind = resource.type.rpartition(":")[2]
        if kind in {"Service", "Volume", "Network", "Secret"}:
            assert resource.inputs["name"].startswith(f"{plan.instance}-"), resource.name
            labels = {label["label"]: label["value"] for label in resource.inputs["labels"]}
            assert labels["dev.pidea.instance"] == plan.instance, resource.name


def test_no_path_of_this_machine_is_in_the_state(recording: Recording) -> None:
    repository = str(Path(images.__file__).parents[2])
    for resource in recording.resources:
        # Pickled code of the dynamic provider aside, which is not text.
        texts = [text for key, value in resource.inputs.items() if key != "__provider" for text in everything(value)]
        assert not [text for text in texts if repository in text], resource.name


def test_images_are_deployed_by_id_where_there_is_no_registry(recording: Recording) -> None:
    assert {container["image"] for container in recording.containers().values()} == {IMAGE_ID}


def test_images_are_deployed_by_the_digest_of_the_push_where_there_is_one(
    recorded: Callable[[dict[str, Any]], Recording],
) -> None:
    recording = recorded({**read_config("prod"), "pidea:registry": "registry.test:5000"})
    assert recording.of("docker:index/registryImage:RegistryImage")
    for name, container in recording.containers().items():
        assert re.fullmatch(r"registry\.test:5000/pidea/[a-z-]+@sha256:2{64}", container["image"]), name


def test_our_images_get_arguments_and_other_images_a_command(
    recorded: Callable[[dict[str, Any]], Recording],
) -> None:
    config = {**read_config("staging"), "pidea:images": {names.REDIS: "example.org/redis:7"}}
    containers = recorded(config).containers()
    assert containers[names.REDIS]["commands"][0] == "redis-server"
    assert "args" not in containers[names.REDIS]
    assert containers[names.REDIS]["image"] == f"example.org/redis:7@{IMAGE_ID}"
    assert containers[names.PROMETHEUS]["args"][0] == "prometheus"
    assert "commands" not in containers[names.PROMETHEUS]


def test_a_service_is_gone_before_another_of_its_name_is_made(recording: Recording) -> None:
    assert all(service.delete_before_replace for service in recording.of(SERVICE).values())


def test_outputs_are_the_contract(recording: Recording, settings: StackSettings) -> None:
    keys = {value for name, value in vars(outputs).items() if name.isupper()}
    assert set(recording.exports) == keys
    assert recording.exports[outputs.INSTANCE] == settings.instance
    assert set(recording.exports[outputs.SERVICES]) == {service.name for service in build_plan(settings).services}
