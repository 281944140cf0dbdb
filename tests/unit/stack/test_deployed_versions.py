"""`up` changes no major version: the new server would find no rows, or could not read the files."""

from __future__ import annotations

from typing import Any

import pytest

from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops.errors import UsageError
from ops.stack import versions
from ops.stack.reference import resolve
from ops.stack.state import Resource, State

_URN = "urn:pulumi:staging::pidea::pidea:platform:Images$docker:index/remoteImage:RemoteImage::image-{}"


def plan(**settings: Any) -> DeploymentPlan:
    least = {"pidea:environment": "staging", "pidea:instance": "pidea-t"}
    return build_plan(StackSettings.from_config({**least, **{f"pidea:{k}": v for k, v in settings.items()}}))


def state(**majors: str) -> State:
    return State(
        resources=tuple(
            Resource(
                urn=_URN.format(server),
                type="docker:index/remoteImage:RemoteImage",
                id="1",
                docker_name="",
                protected=False,
                inputs={"build": {"buildArgs": {f"{server.upper()}_MAJOR": major}}} if major else {},
            )
            for server, major in majors.items()
        ),
        pending=(),
        salt=None,
    )


@pytest.mark.parametrize(
    ("deployed", "settings"),
    [
        ({}, {"postgres": {"version": "17"}}),  # nothing is there yet
        ({"postgres": "15", "redis": "7"}, {}),
        ({"postgres": "15"}, {"postgres": {"version": "15.20"}}),
        ({"postgres": "17"}, {"postgres": {"version": "17"}}),
        ({"postgres": ""}, {}),  # somebody else's image was there
        ({"postgres": "17"}, {"images": {"postgres": "postgres:15"}}),  # or comes
    ],
)
def test_the_same_major_version_is_deployed(deployed: dict[str, str], settings: dict[str, Any]) -> None:
    versions.check(resolve("staging"), plan(**settings), state(**deployed))


@pytest.mark.parametrize(
    ("deployed", "settings", "says"),
    [
        (
            {"postgres": "15"},
            {"postgres": {"version": "17"}},
            r"PostgreSQL 17, and 15 is deployed: `./pidea upgrade staging postgres`",
        ),
        ({"postgres": "17"}, {}, r"PostgreSQL 15, and 17 is deployed: `./pidea upgrade staging postgres --back`"),
        ({"redis": "7"}, {"redis": {"version": "8"}}, r"Redis 8, and 7 is deployed: `./pidea upgrade staging redis`"),
        ({"redis": "8"}, {}, r"`./pidea upgrade staging redis --back`"),
    ],
)
def test_another_one_is_refused_with_the_command(deployed: dict[str, str], settings: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        versions.check(resolve("staging"), plan(**settings), state(**deployed))
