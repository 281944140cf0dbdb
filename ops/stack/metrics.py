"""Questions to a stack's Prometheus, through the operators' door of its edge."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra import outputs as keys
from ops.errors import OpsError
from ops.stack import target
from ops.stack.reference import Stack

_ANSWER_SECONDS = 5.0

Sample = tuple[Mapping[str, str], float]


class MetricsError(OpsError):
    """Raised when Prometheus cannot be asked, or does not understand the question."""


def asker(stack: Stack, outputs: Mapping[str, Any]) -> Callable[[str], Sequence[Sample]]:
    """A function from PromQL to one (labels, value) for each series now. `outputs` with the operator's password.

    It raises MetricsError.
    """
    login = f"{outputs[keys.OPERATOR_USERNAME]}:{outputs[keys.OPERATOR_PASSWORD]}"
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    port = int(outputs[keys.OPERATOR_PORT])
    context = _trust(str(outputs[keys.EDGE_CERTIFICATE_CHAIN])) if outputs.get(keys.EDGE_TLS) else None

    def ask(query: str) -> Sequence[Sample]:
        scheme = "https" if context else "http"
        asked = urllib.parse.urlencode({"query": query})
        url = f"{scheme}://{target.host_of(stack)}:{port}/prometheus/api/v1/query?{asked}"
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http or https, built here
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS, context=context) as answer:  # noqa: S310
                found = json.load(answer)["data"]["result"]
            return [(series["metric"], float(series["value"][1])) for series in found]
        except (OSError, urllib.error.URLError, ValueError, KeyError, TypeError) as error:
            raise MetricsError(f"Prometheus of {stack.name} cannot be asked: {error}") from error

    return ask


def _trust(chain: str) -> ssl.SSLContext:
    """Trusts the certificate that the stack deployed and no other, whatever name the edge is called by from here."""
    context = ssl.create_default_context(cadata=chain)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context
