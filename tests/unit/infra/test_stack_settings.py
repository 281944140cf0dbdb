"""Settings: what YAML and the engine give is read alike, and each mistake is a path and an expectation."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest

from infra.errors import SettingsError
from infra.settings import OVERRIDABLE_IMAGES, StackSettings

LEAST = {"pidea:environment": "staging", "pidea:instance": "pidea-test"}


def problems(**changed: Any) -> tuple[str, ...]:
    """What is wrong with the least configuration after some keys were changed."""
    with pytest.raises(SettingsError) as caught:
        StackSettings.from_config({**LEAST, **{f"pidea:{key}": value for key, value in changed.items()}})
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def as_the_engine_gives_it(config: dict[str, Any]) -> dict[str, str]:
    """Every value as text, objects as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


def test_stack_files_are_read_alike_from_yaml_and_from_the_engine(config: dict[str, Any]) -> None:
    from_yaml = StackSettings.from_config(config)
    assert StackSettings.from_config(as_the_engine_gives_it(config)) == from_yaml


def test_stack_file_is_for_its_environment(settings: StackSettings, stack: str) -> None:
    assert settings.environment == stack
    assert settings.instance == f"pidea-{stack}"


def test_defaults_are_those_of_the_mission() -> None:
    settings = StackSettings.from_config(LEAST)
    assert (settings.app.replicas, settings.redis.max_memory_mib) == (2, 512)
    assert (settings.edge.port, settings.edge.operator_port) == (3000, 3001)
    assert settings.prometheus.scrape_interval_seconds == 15


def test_other_namespaces_are_not_ours() -> None:
    assert StackSettings.from_config({**LEAST, "docker:host": "ssh://x", "aws:region": "y"}) == (
        StackSettings.from_config(LEAST)
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("colour", "red", "pidea:colour: there is no such key; take it out or correct its spelling"),
        ("app", {"replica": 2}, "pidea:app.replica: there is no such key; take it out or correct its spelling"),
        (
            "app",
            {"log_level": "INFO"},
            "pidea:app.log_level: there is no such key; take it out or correct its spelling",
        ),
        ("app", {"replicas": 0}, "pidea:app.replicas: must be greater than or equal to 1, is 0"),
        ("app", {"replicas": "many"}, "pidea:app.replicas: must be a valid integer, unable to parse string"),
        ("app", {"logLevel": "LOUD"}, "pidea:app.logLevel: must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR', is 'LOUD'"),
        ("app", 3, "pidea:app: must be a valid dictionary or instance of AppSettings, is 3"),
        ("environment", "production", "pidea:environment: must be 'staging' or 'prod', is 'production'"),
        ("instance", "Pidea", "pidea:instance: "),
        ("instance", "-x", "pidea:instance: "),
        ("instance", "a" * 25, "pidea:instance: String should have at most 24 characters"),
        ("nodes", 0, "pidea:nodes: must be greater than or equal to 1, is 0"),
        ("secretsVersion", 0, "pidea:secretsVersion: must be greater than or equal to 1, is 0"),
        ("registry", "http://x", "pidea:registry: "),
        ("baseImage", "-", "pidea:baseImage: "),
        ("images", {"mysql": "mysql:8"}, "pidea:images: no image is called 'mysql'; there are alertmanager, app,"),
        ("images", {"redis": "redis@sha256:12"}, "pidea:images.redis: "),
        ("edge", {"port": 80}, "pidea:edge.port: must be greater than or equal to 1024, is 80"),
        ("edge", {"port": 3001}, "pidea:edge: port and operatorPort must differ, both are 3001"),
        ("network", {"cidr": "10.0.0.0/22"}, "pidea:network.cidr: must be a private network of at least /21"),
        ("network", {"cidr": "8.8.0.0/16"}, "pidea:network.cidr: must be a private network of at least /21"),
        ("network", {"cidr": "somewhere"}, "pidea:network.cidr: "),
        ("tracing", {"samplingRatio": 1.5}, "pidea:tracing.samplingRatio: must be less than or equal to 1, is 1.5"),
        ("tracing", {"maxPerSecond": 0}, "pidea:tracing.maxPerSecond: must be greater than or equal to 1, is 0"),
        ("redis", {"maxMemoryMib": 1}, "pidea:redis.maxMemoryMib: must be greater than or equal to 64, is 1"),
        ("postgres", {"maxConnections": 5}, "pidea:postgres.maxConnections: must be greater than or equal to 20, is 5"),
        ("slo", {"availability": {"target": 1.0}}, "pidea:slo.availability.target: must be less than 1, is 1.0"),
        ("slo", {"availability": {"target": 99.9}}, "pidea:slo.availability.target: must be less than 1, is 99.9"),
        ("slo", {"writes": {"target": 0.9, "thresholdSeconds": 1}}, "pidea:slo.writes.target: must be greater than or"),
        (
            "slo",
            {"writes": {"thresholdSeconds": 0.3}},
            "pidea:slo.writes.thresholdSeconds: must be one of 0.0005, 0.001",
        ),
        ("slo", {"writes": {"target": 0.99}}, "pidea:slo.writes.thresholdSeconds: must be set"),
        ("slo", {"latency": {}}, "pidea:slo.latency: there is no such key"),
        ("slo", {"windowDays": 28}, "pidea: slo.windowDays is 28, and prometheus.retentionDays only 15"),
        ("slo", {"minimumFailures": 0}, "pidea:slo.minimumFailures: must be greater than or equal to 1, is 0"),
        ("prometheus", {"maxSeries": 1}, "pidea:prometheus.maxSeries: must be greater than or equal to 1000, is 1"),
        (
            "prometheus",
            {"retentionDays": 0},
            "pidea:prometheus.retentionDays: must be greater than or equal to 1, is 0",
        ),
    ],
)
@pytest.mark.parametrize("source", ["yaml", "engine"])
def test_a_mistake_is_a_path_and_an_expectation(key: str, value: Any, expected: str, source: str) -> None:
    given = value if source == "yaml" or isinstance(value, str) else json.dumps(value)
    (problem,) = problems(**{key: given})
    assert problem.startswith(expected)
    assert "\n" not in problem
    assert "pydantic" not in problem


def test_every_problem_is_named_at_once() -> None:
    found = problems(colour="red", nodes=0, app={"replicas": 0})
    assert {problem.split(": ")[0] for problem in found} == {"pidea:colour", "pidea:nodes", "pidea:app.replicas"}


@pytest.mark.parametrize("key", sorted(LEAST))
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        StackSettings.from_config({other: value for other, value in LEAST.items() if other != key})
    assert caught.value.problems == (f"{key}: must be set",)


def test_text_that_looks_like_a_number_stays_the_text_of_a_name() -> None:
    (problem,) = problems(instance="7")
    assert problem.startswith("pidea:instance: ")


def test_settings_cannot_be_changed() -> None:
    settings = StackSettings.from_config(LEAST)
    with pytest.raises(pydantic.ValidationError):
        settings.nodes = 2  # type: ignore[misc]


@pytest.mark.parametrize("image", sorted(OVERRIDABLE_IMAGES))
def test_every_image_can_be_overridden(image: str) -> None:
    reference = f"example.org/x/{image}:1@sha256:{'0' * 64}"
    assert StackSettings.from_config({**LEAST, "pidea:images": {image: reference}}).images == {image: reference}
