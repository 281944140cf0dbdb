"""Servers that keep a stack's backups: it must be able to log in to them."""

from __future__ import annotations

from infra.settings import NAMESPACE
from infra.spec import DeploymentPlan, SecretForm
from ops.errors import UsageError
from ops.stack.pulumi import Pulumi
from ops.stack.state import State


def ensure(pulumi: Pulumi, state: State, plan: DeploymentPlan) -> None:
    """Raises UsageError where what such a server lets the stack in with is not set."""
    for secret in plan.secrets:
        key = f"{NAMESPACE}:{secret.name}"
        if secret.form is SecretForm.SERVER_LOGIN and not (pulumi.secret_setting(key, state) or "").strip():
            raise UsageError(
                f"{pulumi.stack.config_name} keeps backups on a server whose password or key is not set: "
                f'`pulumi config set --secret {key} --stack {pulumi.stack.name} < FILE`, after `eval "$(./pidea env)"`.'
            )
