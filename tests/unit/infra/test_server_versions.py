"""Which versions of PostgreSQL and Redis the settings take, and what the plan makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra import names
from infra.errors import SettingsError
from infra.plan import build_plan, images
from infra.settings import StackSettings
from infra.spec import DeploymentPlan, ImageSpec

LEAST = {"pidea:environment": "staging", "pidea:instance": "pidea-test"}
CLUSTERS = {"pidea:nodes": 3, "pidea:registry": "registry.example.com"}


def plan(**settings: Any) -> DeploymentPlan:
    return build_plan(StackSettings.from_config({**LEAST, **{f"pidea:{k}": v for k, v in settings.items()}}))


def image(made: DeploymentPlan, name: str) -> ImageSpec:
    (found,) = [spec for spec in made.images if spec.name == name]
    return found


def problem(**settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        StackSettings.from_config({**LEAST, **CLUSTERS, **{f"pidea:{k}": v for k, v in settings.items()}})
    (line,) = caught.value.problems
    return line


def test_the_defaults_named_are_the_defaults() -> None:
    named = plan(postgres={"version": "15"}, redis={"version": "7"})
    assert named == plan()
    assert not [spec.name for spec in named.images if spec.name.endswith("-base")]


@pytest.mark.parametrize("given", ["15.20", json.dumps({"version": "15.20"}), 15, "15"])
def test_a_version_is_read_alike_from_yaml_and_from_the_engine(given: Any) -> None:
    postgres = given if isinstance(given, str) and given.startswith("{") else {"version": given}
    settings = StackSettings.from_config({**LEAST, "pidea:postgres": postgres})
    assert settings.postgres.version == ("15.20" if "15.20" in str(given) else "15")


def test_a_number_that_has_lost_its_zero_is_refused() -> None:
    assert problem(postgres={"version": 15.2}).startswith(
        'pidea:postgres.version: must stand in quotes, as "15.2": as a number, 15.2 and 15.20 are the same'
    )


@pytest.mark.parametrize("version", ["16", "14", "15.", "15.2.1", "v15", "latest", "15.123", ""])
def test_an_unknown_version_of_postgres_is_refused(version: str) -> None:
    assert "pidea:postgres.version: " in problem(postgres={"version": version})


@pytest.mark.parametrize("version", ["6", "9", "7.0", "8.0", "7.0.15-1", ""])
def test_an_unknown_version_of_redis_is_refused(version: str) -> None:
    assert "pidea:redis.version: " in problem(redis={"version": version})


def test_a_cluster_keeps_its_major_version() -> None:
    assert "version must be 15 where there are standbys" in problem(postgres={"version": "17", "standbys": 2})
    assert "version must be 7 where there are replicas" in problem(redis={"version": "8", "replicas": 2})


def test_a_cluster_may_have_another_minor_version() -> None:
    made = plan(nodes=3, registry="registry.example.com", postgres={"version": "15.20", "standbys": 2})
    assert image(made, names.PATRONI).base == names.POSTGRES
    assert image(made, names.POSTGRES).base == "postgres-base"


def test_somebody_elses_image_has_its_own_version() -> None:
    assert "images.postgres and postgres.version exclude each other" in problem(
        images={"postgres": "postgres:17"}, postgres={"version": "17"}
    )


def test_an_exact_version_is_pinned_and_changes_only_its_server() -> None:
    before, after = plan(), plan(postgres={"version": "15.18"})
    base = image(after, "postgres-base")
    assert base.base == names.BASE_IMAGE
    assert base.build_args["PINS"] == "postgresql-15=15.18-* postgresql-client-15=15.18-*"
    assert base.build_args["SUITE"] == "bookworm"
    # Another name, so that a change of the version is a change of the service.
    assert image(after, names.POSTGRES).digest != image(before, names.POSTGRES).digest
    assert image(after, names.POSTGRES).digest != image(plan(postgres={"version": "15.19"}), names.POSTGRES).digest
    for other in (names.REDIS, names.BACKUP, names.APP):
        assert image(after, other) == image(before, other)
    assert after.services == before.services


@pytest.mark.parametrize("postgres", [{}, {"version": "15.18"}, {"version": "17"}])
def test_no_version_begins_with_nothing_beside_the_rows_of_another(postgres: dict[str, str]) -> None:
    """The default neither: its setting may be gone while the volume of an upgraded stack is kept."""
    (server,) = [service for service in plan(postgres=postgres).services if service.name == names.POSTGRES]
    assert server.command == ("only-if-upgraded", "entrypoint")


def test_another_major_version_brings_its_programs_to_the_backups() -> None:
    before, after = plan(), plan(postgres={"version": "17"})
    assert image(after, "postgres-base").build_args["SUITE"] == "trixie"
    assert image(after, names.POSTGRES).build_args["POSTGRES_MAJOR"] == "17"
    assert image(after, names.BACKUP).build_args["POSTGRES_MAJOR"] == "17"
    assert image(after, names.BACKUP).base == "backup-base"
    assert images.major_of(after, names.POSTGRES) == "17"
    assert image(after, names.REDIS) == image(before, names.REDIS)
    changed = {s.name: s for s in after.services if s not in before.services}
    assert {name: spec.command for name, spec in changed.items()} == {
        # It would ask for a view that is not there.
        names.POSTGRES_EXPORTER: ("prometheus-postgres-exporter", "--no-collector.bgwriter"),
    }


def test_another_redis_is_read_by_the_backups_too() -> None:
    before, after = plan(), plan(redis={"version": "8"})
    assert image(after, names.REDIS).build_args["REDIS_MAJOR"] == "8"
    assert image(after, names.BACKUP).base == "backup-base"
    assert image(after, names.BACKUP).build_args["POSTGRES_MAJOR"] == "15"
    assert image(after, names.POSTGRES) == image(before, names.POSTGRES)
    assert image(plan(redis={"version": "7.0.15"}), "redis-base").build_args["PINS"] == (
        "redis-server=5:7.0.15-* redis-tools=5:7.0.15-*"
    )


def test_what_images_start_from_comes_before_them() -> None:
    made = plan(postgres={"version": "17"}, redis={"version": "8"})
    order = [spec.name for spec in made.images]
    for spec in made.images:
        assert spec.base is None or order.index(spec.base) < order.index(spec.name)
