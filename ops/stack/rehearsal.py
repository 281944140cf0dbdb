"""What an instance beside the environment, or on a lab, does not do: page people, be held by its promises, and keep
backups where the environment keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra import names
from infra.settings import NAMESPACE

_LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {
    f"{NAMESPACE}:alertmanager": frozenset({"receivers", "critical", "warning", "heartbeat"}),
    # Two stacks in one repository would take each other's backups for their own.
    f"{NAMESPACE}:backup": frozenset({"repository", "offsite"}),
    # Broken on purpose as it is, it would spend its budget and then refuse its next deployment.
    f"{NAMESPACE}:slo": frozenset({"holdDeployments"}),
}
_NOT_SET: Final = tuple(
    f"{NAMESPACE}:{name}" for name in (names.RECEIVER_PREFIX, names.BACKUP_REPOSITORY_LOGIN, names.BACKUP_OFFSITE_LOGIN)
)
# The rule about it is not for what is tried out.
POLICY_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {"alerts-are-routed": {"required": False}}


def of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The environment's configuration as a copy starts with it: nobody to tell, no promises, no other's backups."""
    found = {key: value for key, value in config.items() if not key.startswith(_NOT_SET)}
    for key, left_out in _LEFT_OUT.items():
        if key in found:
            found[key] = {name: value for name, value in found[key].items() if name not in left_out}
    return found
