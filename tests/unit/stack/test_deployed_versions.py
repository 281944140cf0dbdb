"""`up` changes no major version: the new server would find no rows, or could not read the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops.cluster.members import MemberError
from ops.errors import UsageError
from ops.stack import versions
from ops.stack.reference import resolve
from ops.stack.state import Resource, State

_URN = "urn:pulumi:staging::pidea::pidea:platform:Images$docker:index/remoteImage:RemoteImage::image-{}"


def plan(**settings: Any) -> DeploymentPlan:
    least = {"pidea:environment": "staging", "pidea:instance": "pidea-t"}
    return build_plan(StackSettings.from_config({**least, **{f"pidea:{k}": v for k, v in settings.items()}}))


def nobody(member: str, command: Sequence[str]) -> str:
    """A stack whose servers do not run."""
    raise MemberError(f"{member} does not run")


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
    versions.check(resolve("staging"), plan(**settings), state(**deployed), nobody)


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
        versions.check(resolve("staging"), plan(**settings), state(**deployed), nobody)


SAID = {names.POSTGRES: "15.20 (Debian 15.20-0+deb12u1)\n", names.REDIS: "7.0.15\n"}


def test_the_server_is_asked() -> None:
    assert versions.running(names.POSTGRES, lambda member, _: SAID[member]) == "15.20"
    assert versions.running(names.REDIS, lambda member, _: SAID[member]) == "7.0.15"
    with pytest.raises(MemberError, match="does not say its version"):
        versions.running(names.POSTGRES, lambda *_: "\n")


def test_after_an_interrupted_upgrade_what_runs_counts_and_not_the_image_that_was_made() -> None:
    """Its image is of 17, and 15 serves: the way on is the upgrade again, the way back is what there was."""
    ahead = state(postgres="17", redis="7")
    versions.check(resolve("staging"), plan(), ahead, lambda member, _: SAID[member])
    with pytest.raises(UsageError, match="PostgreSQL 17, and 15 is deployed"):
        versions.check(resolve("staging"), plan(postgres={"version": "17"}), ahead, lambda member, _: SAID[member])


def test_a_cluster_is_not_asked() -> None:
    clusters = plan(nodes=3, registry="registry.example.com", postgres={"standbys": 2}, redis={"replicas": 2})
    versions.check(resolve("prod"), clusters, state(postgres="15", redis="7"), lambda *_: "99.9\n")
