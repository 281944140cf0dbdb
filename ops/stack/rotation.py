"""Rotating passwords: one version at a time, because what runs knows the next version's passwords and no others."""

from __future__ import annotations

from infra import names
from infra.spec import DeploymentPlan
from ops.errors import UsageError
from ops.stack.state import State

_PREFIX = "::password-"


def check(plan: DeploymentPlan, state: State) -> None:
    """Raises UsageError where the plan's version of the secrets is not next to the one that is deployed."""
    deployed = {
        int(resource.inputs["version"])
        for resource in state.resources
        if _PREFIX in resource.urn
        and not resource.urn.endswith(_PREFIX + names.BACKUP_REPOSITORY_PASSWORD)
        and "version" in resource.inputs
    }
    far = sorted(version for version in deployed if abs(version - plan.secrets_version) > 1)
    if far:
        raise UsageError(
            f"pidea:secretsVersion: is {plan.secrets_version}, and {far[0]} is deployed. Passwords are rotated one "
            f"version at a time, so that nobody is locked out: set it to {far[0] + 1}, deploy, and count on from there."
        )
