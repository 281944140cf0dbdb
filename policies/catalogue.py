"""All rules, in the order in which people read them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from policies.model import Rule
from policies.rules import (
    changes,
    containers,
    exceptions,
    network,
    resources,
    rollback,
    secrets,
    supply_chain,
    topology,
    watching,
)

_THEMES: Final = (
    rollback,
    containers,
    secrets,
    network,
    supply_chain,
    resources,
    topology,
    watching,
    changes,
    exceptions,
)

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for theme in _THEMES for rule in theme.RULES})
