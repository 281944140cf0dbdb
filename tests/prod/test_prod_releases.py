"""New versions of the application while it is used: the good one goes through, bad ones are taken back, and so can be
any."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from infra import names
from infra import outputs as keys
from tests.deploy.traffic import Traffic
from tests.invariants import wait_until_whole
from tests.prod import releases
from tests.stack.cluster import Cluster
from tests.stack.endpoints import Endpoints
from tests.stack.prod import Prod

DEPLOY_ERROR = 5
USERS = 4
# Several `up`s in a row, each with its canary.
pytestmark = [pytest.mark.operations, pytest.mark.timeout(1200)]


@pytest.fixture
def image(prod: Prod) -> str:
    """The application's image, which runs."""
    prod.ensure_up()
    wait_until_whole(prod)
    return str(prod.outputs()[keys.SERVICES][names.APP]["image"])


@contextlib.contextmanager
def _users(prod: Prod) -> Iterator[list[Traffic]]:
    """Users of every edge, more than one."""
    good = prod.outputs()
    users = [Traffic(Endpoints(good, host=prod.address(1 + number % 3))) for number in range(USERS)]
    with contextlib.ExitStack() as stack:
        for user in users:
            stack.enter_context(user)
        yield users


def _images(prod: Prod) -> set[str]:
    return {container.details["Config"]["Image"] for container in Cluster.look(prod).service(names.APP).containers}


def test_a_version_that_does_not_run_is_taken_back(prod: Prod, image: str) -> None:
    with (
        releases.pushed(image, "app-ends", releases.ENDS_AT_ONCE) as bad,
        prod.configured({"pidea:images": {names.APP: bad}}),
        _users(prod) as users,
    ):
        failed = prod.pidea("up")
    assert failed.code == DEPLOY_ERROR, failed.text
    assert "cannot find the flux capacitor" in failed.errors
    assert "Traceback" not in failed.errors
    assert [user.failures for user in users] == [[]] * USERS
    assert sum(user.requests for user in users) > 500
    assert _images(prod) == {image}


def test_a_version_that_fails_its_users_is_taken_back_by_the_canary(prod: Prod, image: str) -> None:
    with (
        releases.pushed(image, "app-fails", releases.FAILS_SOMETIMES) as bad,
        prod.configured({"pidea:images": {names.APP: bad}}),
        _users(prod) as users,
    ):
        failed = prod.pidea("up")
    assert failed.code == DEPLOY_ERROR, failed.text
    assert "the new version fails" in failed.errors
    # One of the replicas had it for a while, and no other.
    failures, requests = sum(len(user.failures) for user in users), sum(user.requests for user in users)
    assert 0 < failures < requests / 10
    assert _images(prod) == {image}


def test_a_deployment_is_undone_by_one_command(prod: Prod, image: str) -> None:
    with releases.pushed(image, "app-other", releases.JUST_ANOTHER) as other, _users(prod) as users:
        with prod.configured({"pidea:images": {names.APP: other}}):
            deployed = prod.up().json
            assert deployed["services"][names.APP]["image"] != image
            assert _images(prod) == {deployed["services"][names.APP]["image"]}

            undone = prod.pidea("rollback", "--yes")
        assert undone.code == 0, undone.text
        assert _images(prod) == {image}
    assert [user.failures for user in users] == [[]] * USERS
