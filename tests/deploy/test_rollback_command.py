"""`./pidea rollback`: one command, and what was deployed before runs again."""

from __future__ import annotations

import yaml

from infra import names
from tests.deploy.traffic import Traffic
from tests.invariants import wait_until_healthy
from tests.stack import containers
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance
from tests.stack.waiting import wait_until

SETTING = "pidea:tracing"


def test_the_last_good_deployment_comes_back_with_its_settings(stack: Instance) -> None:
    wait_until_healthy(stack.outputs())
    before, settings = _environments(stack), _settings(stack)
    ratio = 0.5
    assert settings[SETTING]["samplingRatio"] != ratio
    with stack.configured({SETTING: {"samplingRatio": ratio}}):
        stack.up()
        assert any(f"TRACE_SAMPLING_RATIO={ratio}" in environment for environment in _environments(stack))
        with Traffic(Endpoints(stack.outputs())) as traffic:
            undone = stack.pidea("rollback", "--yes")
        assert undone.code == 0, undone.text
        assert _settings(stack) == settings
    # A replica that is replaced answers what it has begun, and is gone then.
    wait_until(lambda: _environments(stack) == before, "all replicas have the settings of before")
    assert traffic.failures == []
    assert traffic.requests > 50
    assert stack.up().json["changes"] == {}


def _environments(stack: Instance) -> set[tuple[str, ...]]:
    """The application's, of every replica; one where all have the same."""
    return {tuple(sorted(one.details["Config"]["Env"])) for one in containers.of(stack, names.APP)}


def _settings(stack: Instance) -> dict[str, dict[str, float]]:
    return dict(yaml.safe_load(stack.stack.config_file.read_text())["config"])
