"""The whole plan of both stacks, as files: a change of what would be deployed is seen in review.

`PIDEA_UPDATE_GOLDENS=1` writes them anew.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import ConfigSpec, DeploymentPlan, ImageSpec

GOLDENS = Path(__file__).parent / "goldens"


def as_data(value: Any) -> Any:
    """Dataclasses as mappings; what equals its default is left out, so that a golden holds what matters."""
    if isinstance(value, ImageSpec) and value.digest:
        # Of an image's files, which change often and have tests of their own; so have rules and dashboards below.
        value = dataclasses.replace(value, digest="DIGEST", build_args={**value.build_args, "REVISION": "DIGEST"})
    if isinstance(value, ConfigSpec) and value.name.startswith(("rules-", "dashboard-")):
        value = dataclasses.replace(value, content="CONTENT", digest="DIGEST")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: (field, getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {name: as_data(found) for name, (field, found) in fields.items() if found != _default(field)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: as_data(found) for key, found in value.items()}
    if isinstance(value, tuple):
        return [as_data(found) for found in value]
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(plan: DeploymentPlan) -> str:
    """The plan as YAML, in the order of its fields."""
    return yaml.dump(as_data(plan), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def test_plan_is_the_golden_one(plan: DeploymentPlan, stack: str) -> None:
    golden = GOLDENS / f"{stack}.yaml"
    now = dump(plan)
    if os.environ.get("PIDEA_UPDATE_GOLDENS") == "1":
        golden.write_text(now)
    agreed = golden.read_text() if golden.exists() else ""
    difference = "".join(difflib.unified_diff(agreed.splitlines(True), now.splitlines(True), golden.name, "now"))
    assert not difference, f"the plan of {stack} changed; PIDEA_UPDATE_GOLDENS=1 accepts it:\n{difference}"


def test_the_same_settings_make_the_same_plan(settings: StackSettings) -> None:
    assert dump(build_plan(settings)) == dump(build_plan(settings))
