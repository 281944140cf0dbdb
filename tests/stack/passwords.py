"""The real secret values of a stack, from its state, to look for where they must not be."""

from __future__ import annotations

import base64
import json

from infra.spec import SecretForm
from tests.stack.instance import Instance

_RESOURCE_PREFIX = "password-"


def passwords(stack: Instance) -> dict[str, str]:
    """Every random password by its logical name. Raises AssertionError where the state does not have them all."""
    resources = json.loads(stack.state_with_secrets())["deployment"]["resources"]
    found = {}
    for resource in resources:
        name = resource["urn"].rpartition("::")[2]
        if name.startswith(_RESOURCE_PREFIX):
            value = resource["outputs"]["value"]
            found[name.removeprefix(_RESOURCE_PREFIX)] = json.loads(value["plaintext"])
    assert set(found) == {secret.name for secret in stack.plan.secrets if secret.form is SecretForm.RANDOM}
    assert all(len(value) > 30 for value in found.values())
    return found


def found_in(text: str, values: dict[str, str]) -> list[str]:
    """The names of the passwords that `text` gives away, as they are or in base64."""
    return [
        name
        for name, value in values.items()
        if value in text or base64.b64encode(value.encode()).decode().rstrip("=") in text
    ]
