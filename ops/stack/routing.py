"""An instance beside the environment, or on a lab, tells nobody of its alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra import names
from infra.settings import NAMESPACE

_ROUTING: Final = frozenset({"receivers", "critical", "warning", "heartbeat"})
# The rule about it is not for what is tried out.
POLICY_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {"alerts-are-routed": {"required": False}}


def without(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with nobody to tell: what is tried out or broken on purpose must page nobody."""
    key = f"{NAMESPACE}:alertmanager"
    found = {
        name: value for name, value in config.items() if not name.startswith(f"{NAMESPACE}:{names.RECEIVER_PREFIX}")
    }
    if key in found:
        found[key] = {name: value for name, value in found[key].items() if name not in _ROUTING}
    return found
