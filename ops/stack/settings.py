"""A stack's settings and plan, read from its configuration file without Pulumi."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from infra.errors import InfraError
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops.errors import UsageError
from ops.stack.reference import Stack


def read_config(stack: Stack) -> dict[str, Any]:
    """The `config:` part of the stack's configuration file. Raises UsageError where it is not what Pulumi reads."""
    path = stack.config_file
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    config = content.get("config", {}) if isinstance(content, Mapping) else None
    if not isinstance(config, Mapping):
        raise UsageError(f"{path}: must hold `config:` with one `pidea:key: value` for each setting.")
    return dict(config)


def plan_of(stack: Stack) -> DeploymentPlan:
    """What the stack shall consist of. Raises UsageError with one line for each wrong setting; touches nothing."""
    try:
        return build_plan(StackSettings.from_config(read_config(stack)))
    except InfraError as error:
        raise UsageError(f"{stack.config_name} cannot be used:\n{error}") from error
