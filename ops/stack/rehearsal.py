"""What an instance beside the environment, or on a lab, does not do: page people, and be held by its promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra import names
from infra.settings import NAMESPACE

_LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {
    f"{NAMESPACE}:alertmanager": frozenset({"receivers", "critical", "warning", "heartbeat"}),
    # Broken on purpose as it is, it would spend its budget and then refuse its next deployment.
    f"{NAMESPACE}:slo": frozenset({"holdDeployments"}),
}
# The rule about it is not for what is tried out.
POLICY_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {"alerts-are-routed": {"required": False}}


def of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The environment's configuration as a copy starts with it: nobody to tell, and nothing that holds it."""
    found = {key: value for key, value in config.items() if not key.startswith(f"{NAMESPACE}:{names.RECEIVER_PREFIX}")}
    for key, left_out in _LEFT_OUT.items():
        if key in found:
            found[key] = {name: value for name, value in found[key].items() if name not in left_out}
    return found
