"""Settings and plans that tests of infra/ start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan

REPOSITORY = Path(__file__).resolve().parents[3]
STACKS = ("staging", "prod")


def read_config(stack: str) -> dict[str, Any]:
    """A stack's configuration file as the repository holds it."""
    config: dict[str, Any] = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())["config"]
    return config


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(stack: str) -> dict[str, Any]:
    return read_config(stack)


@pytest.fixture
def settings(config: dict[str, Any]) -> StackSettings:
    return StackSettings.from_config(config)


@pytest.fixture
def plan(settings: StackSettings) -> DeploymentPlan:
    return build_plan(settings)
