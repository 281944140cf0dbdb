"""A release that does not work: `up` fails and says why, users notice nothing, and the next good one goes through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra import names
from infra import outputs as keys
from tests.deploy import registry
from tests.deploy.traffic import Traffic
from tests.invariants import wait_until_healthy
from tests.stack import containers
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance

LAST_WORDS = {"crashes": "cannot find the flux capacitor", "never becomes healthy": "waits for the thunderstorm"}
DEPLOY_ERROR = 5


@pytest.fixture(scope="module")
def registry_address() -> Iterator[str]:
    """A registry of this module's own."""
    with registry.serving() as address:
        yield address


@pytest.mark.parametrize("kind", LAST_WORDS)
def test_a_broken_release_is_taken_back(stack: Instance, registry_address: str, kind: str) -> None:
    good = stack.outputs()
    wait_until_healthy(good)
    image = good[keys.SERVICES][names.APP]["image"]
    last_words = LAST_WORDS[kind]
    if kind == "crashes":
        command = ["sh", "-c", f"echo starting; echo {last_words}; exit 3"]
        expected = (last_words, "exit (3)")
    else:
        # As the application does, it ends well when it is told to: by its end alone nobody sees that it failed.
        command = ["sh", "-c", f"echo {last_words}; trap 'exit 0' TERM; sleep 3600 & wait"]
        expected = (last_words, "health check")

    with (
        registry.derived(registry_address, f"pidea/app-{len(kind)}", image, command) as broken,
        stack.configured({"pidea:images": {names.APP: broken}}),
        Traffic(Endpoints(good)) as traffic,
    ):
        failed = stack.pidea("up")
        assert failed.code == DEPLOY_ERROR, failed.text
        assert names.physical(stack.prefix, names.APP) in failed.errors
        assert "Traceback" not in failed.errors
        for text in expected:
            assert text in failed.errors
        for other in set(LAST_WORDS) - {kind}:
            assert LAST_WORDS[other] not in failed.errors
    assert traffic.failures == []
    assert traffic.requests > 50
    assert {container.details["Image"] for container in containers.of(stack, names.APP)} == {image}

    repaired = stack.up().json
    assert repaired["services"][names.APP]["image"] == image
    wait_until_healthy(stack.outputs())


def test_an_unreachable_registry_changes_nothing_that_runs(stack: Instance) -> None:
    good = stack.outputs()
    wait_until_healthy(good)
    image = good[keys.SERVICES][names.APP]["image"]
    with (
        # Port 1 of loopback: nothing listens there, and the refusal comes at once.
        stack.configured({"pidea:images": {names.APP: "127.0.0.1:1/pidea/app:1"}}),
        Traffic(Endpoints(good)) as traffic,
    ):
        failed = stack.pidea("up")
    assert failed.code == DEPLOY_ERROR, failed.text
    assert "127.0.0.1:1/pidea/app:1" in failed.errors
    assert "Traceback" not in failed.errors
    assert traffic.failures == []
    assert {container.details["Image"] for container in containers.of(stack, names.APP)} == {image}

    assert stack.up().json["services"][names.APP]["image"] == image
    wait_until_healthy(stack.outputs())
