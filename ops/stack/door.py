"""The operators' door of a stack's edge: Prometheus and Alertmanager behind the operator's password."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from infra import outputs as keys
from ops.errors import StateError
from ops.stack import environment, instances, target
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack

_ANSWER_SECONDS = 10.0

# (method, path below the door, what is sent as JSON) → what was answered as JSON, None for an empty answer.
Call = Callable[[str, str, Any], Any]


def of(stack: Stack) -> Call:
    """The door of a stack that is up. Raises UsageError for an unknown instance, StateError where nothing is up."""
    instances.require(stack)
    pulumi = Pulumi(stack, environment.tools())
    outputs = pulumi.outputs(secrets=True) if pulumi.state() else {}
    if keys.OPERATOR_PASSWORD not in outputs:
        raise StateError(f"Stack {stack.name} is not up; bring it up with `./pidea up {stack.arguments}`.")
    return caller(stack, outputs)


def caller(stack: Stack, outputs: Mapping[str, Any]) -> Call:
    """A function that asks through the door. `outputs` with the operator's password.

    It raises OSError where nobody answers (HTTPError, with what was answered, for a refusal), ValueError where the
    answer is not JSON.
    """
    login = f"{outputs[keys.OPERATOR_USERNAME]}:{outputs[keys.OPERATOR_PASSWORD]}"
    headers = {
        "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
        "Content-Type": "application/json",
    }
    port = int(outputs[keys.OPERATOR_PORT])
    context = _trust(str(outputs[keys.EDGE_CERTIFICATE_CHAIN])) if outputs.get(keys.EDGE_TLS) else None

    def call(method: str, path: str, body: Any = None) -> Any:
        url = f"{'https' if context else 'http'}://{target.host_of(stack)}:{port}/{path}"
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=sent, headers=headers, method=method)  # noqa: S310 - built here
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS, context=context) as answer:  # noqa: S310
            content = answer.read()
        return json.loads(content) if content else None

    return call


def _trust(chain: str) -> ssl.SSLContext:
    """Trusts the certificate that the stack deployed and no other, whatever name the edge is called by from here."""
    context = ssl.create_default_context(cadata=chain)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context
