"""Passwords move on by one version: two generations know each other, three do not."""

from __future__ import annotations

import dataclasses

import pytest

from infra.plan import build_plan
from infra.settings import StackSettings
from ops.errors import UsageError
from ops.stack import rotation
from ops.stack.state import Resource, State

_URN = "urn:pulumi:prod::pidea::pidea:platform:Credentials$pulumi-python:dynamic:Resource::password-{}"
PLAN = build_plan(StackSettings.from_config({"pidea:environment": "staging", "pidea:instance": "pidea-t"}))


def state(**versions: int) -> State:
    resources = [
        Resource(
            urn=_URN.format(name.replace("_", "-")),
            type="pulumi-python:dynamic:Resource",
            id="1",
            docker_name="",
            protected=False,
            inputs={"version": version},
        )
        for name, version in versions.items()
    ]
    return State(resources=tuple(resources), pending=(), salt=None)


@pytest.mark.parametrize(
    ("deployed", "wanted"),
    [
        ({}, 7),
        ({"redis_admin": 1}, 1),
        ({"redis_admin": 1}, 2),
        ({"redis_admin": 2}, 1),
        ({"redis_admin": 1, "api_token": 2}, 2),
        ({"redis_admin": 8, "backup_repository_password": 1}, 9),
    ],
)
def test_the_next_version_is_as_good_as_the_same(deployed: dict[str, int], wanted: int) -> None:
    rotation.check(dataclasses.replace(PLAN, secrets_version=wanted), state(**deployed))


@pytest.mark.parametrize(("deployed", "wanted"), [({"redis_admin": 1}, 3), ({"redis_admin": 1, "api_token": 2}, 3)])
def test_a_version_left_out_is_refused_with_the_one_to_set(deployed: dict[str, int], wanted: int) -> None:
    with pytest.raises(UsageError, match=r"secretsVersion: is 3, and 1 is deployed.*set it to 2"):
        rotation.check(dataclasses.replace(PLAN, secrets_version=wanted), state(**deployed))
