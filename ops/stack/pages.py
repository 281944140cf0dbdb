"""Who is told of a stack's alerts: the environment must be able to reach them."""

from __future__ import annotations

import re
from typing import Final

from infra import names
from infra.settings import NAMESPACE
from infra.spec import DeploymentPlan, SecretForm
from ops.errors import UsageError
from ops.stack.pulumi import Pulumi
from ops.stack.state import State

# Domains that never belong to anybody (RFC 2606): what stands in the repository for the reader's own.
_PLACEHOLDER: Final = re.compile(r"[@./]example\.(?:com|org|net)\b")


def ensure(pulumi: Pulumi, state: State, plan: DeploymentPlan) -> None:
    """Raises UsageError where the stack's alerts would reach nobody: a secret is not set, or an address is made up."""
    file = pulumi.stack.config_name
    for config in plan.configs:
        if config.name == f"{names.ALERTMANAGER}-yml" and _PLACEHOLDER.search(config.content):
            raise UsageError(
                f"{file} sends alerts to made-up addresses (example.com): name your own receivers under "
                f"{NAMESPACE}:alertmanager; docs/runbooks/alert-receivers.md has each kind."
            )
    for secret in plan.secrets:
        key = f"{NAMESPACE}:{secret.name}"
        if secret.form is SecretForm.RECEIVER and not (pulumi.secret_setting(key, state) or "").strip():
            raise UsageError(
                f"{file} has a receiver of alerts whose secret is not set: "
                f'`pulumi config set --secret {key} --stack {pulumi.stack.name} < FILE`, after `eval "$(./pidea env)"`.'
            )
