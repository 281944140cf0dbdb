"""The stack's ways in: the application through the edge, and the operators' pages behind their password."""

from __future__ import annotations

import dataclasses
import functools
import re
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from requests import Response

from infra import outputs as keys

TIMEOUT_SECONDS = 10.0
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Endpoints:
    """Made from the outputs of a stack, with the operator's password; `host` is the node whose edge is asked."""

    outputs: Mapping[str, Any]
    host: str = "127.0.0.1"

    @property
    def app(self) -> str:
        """The application's address."""
        return f"{self._scheme}://{self.host}:{int(self.outputs[keys.EDGE_PORT])}"

    @property
    def operators(self) -> str:
        """The address of the operators' pages."""
        return f"{self._scheme}://{self.host}:{int(self.outputs[keys.OPERATOR_PORT])}"

    @property
    def is_tls(self) -> bool:
        """Whether the edge speaks TLS."""
        return bool(self.outputs.get(keys.EDGE_TLS))

    @property
    def verify(self) -> str | bool:
        """What `requests` needs to trust the edge: a file with the authority that signed its certificate, if any."""
        return _authority_file(str(self.outputs[keys.EDGE_CERTIFICATE_CHAIN])) if self.is_tls else True

    def get(self, url: str, **options: Any) -> Response:
        """Any GET of the edge, as a client that trusts its authority and nobody else. No status is an error."""
        return requests.get(url, timeout=TIMEOUT_SECONDS, verify=self.verify, **options)

    @property
    def login(self) -> tuple[str, str]:
        """User and password of the operators' pages."""
        return str(self.outputs[keys.OPERATOR_USERNAME]), str(self.outputs[keys.OPERATOR_PASSWORD])

    def operator_get(self, path: str, **parameters: str) -> requests.Response:
        """An operators' page. Raises requests.HTTPError where it is not there."""
        answer = self.get(f"{self.operators}{path}", params=parameters, auth=self.login)
        answer.raise_for_status()
        return answer

    def prometheus(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of Prometheus' API v1."""
        return self.operator_get(f"/prometheus/api/v1/{path}", **parameters).json()["data"]

    @property
    def authorization(self) -> dict[str, str]:
        """The header that the application's API wants to see."""
        return {"Authorization": f"Bearer {self.outputs[keys.API_TOKEN]}"}

    def messages(self) -> str:
        """The address of the messages of a chat that is made for this. Raises requests.HTTPError."""
        key = {"Idempotency-Key": str(uuid.uuid4())}  # so that the edge may send it to another replica as well
        answer = self.api("POST", f"{self.app}/api/chats", json={"title": "a test's"}, headers=key)
        answer.raise_for_status()
        return f"{self.app}/api/chats/{answer.json()['id']}/messages"

    def api(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Response:
        """Any request to the application, with the token and on a connection of its own."""
        given = {**self.authorization, **(headers or {})}
        return requests.request(method, url, headers=given, timeout=TIMEOUT_SECONDS, verify=self.verify, **options)

    def write(self, url: str, content: str, role: str = "user", **headers: str) -> dict[str, Any]:
        """Appends a message. Raises requests.HTTPError where it is refused."""
        answer = self.api("POST", url, json={"role": role, "content": content}, headers=headers)
        answer.raise_for_status()
        return dict(answer.json())

    def contents(self, url: str) -> list[str]:
        """What the newest page of a chat says. Raises requests.HTTPError where it cannot be read."""
        answer = self.api("GET", url)
        answer.raise_for_status()
        return [message["content"] for message in answer.json()["messages"]]

    @property
    def _scheme(self) -> str:
        return "https" if self.is_tls else "http"


@functools.cache
def _authority_file(chain: str) -> str:
    """The certificates after the first, or the only one, in a file that is there as long as this process."""
    certificates = _CERTIFICATE.findall(chain)
    path = Path(_folder().name) / f"{len(chain)}-{abs(hash(chain)):x}.pem"
    path.write_text("".join(certificates[1:] or certificates))
    return str(path)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pidea-authority-")
