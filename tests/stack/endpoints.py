"""The stack's ways in: the application through the edge, and the operators' pages behind their password."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import requests
from requests import Response

from infra import outputs as keys

TIMEOUT_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Endpoints:
    """Made from the outputs of a stack on this machine, with the operator's password."""

    outputs: Mapping[str, Any]

    @property
    def app(self) -> str:
        """The application's address."""
        return f"http://127.0.0.1:{int(self.outputs[keys.EDGE_PORT])}"

    @property
    def operators(self) -> str:
        """The address of the operators' pages."""
        return f"http://127.0.0.1:{int(self.outputs[keys.OPERATOR_PORT])}"

    @property
    def login(self) -> tuple[str, str]:
        """User and password of the operators' pages."""
        return str(self.outputs[keys.OPERATOR_USERNAME]), str(self.outputs[keys.OPERATOR_PASSWORD])

    def operator_get(self, path: str, **parameters: str) -> requests.Response:
        """An operators' page. Raises requests.HTTPError where it is not there."""
        answer = requests.get(f"{self.operators}{path}", params=parameters, auth=self.login, timeout=TIMEOUT_SECONDS)
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
        answer = self.api("POST", f"{self.app}/api/chats", json={"title": "a test's"})
        answer.raise_for_status()
        return f"{self.app}/api/chats/{answer.json()['id']}/messages"

    def api(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Response:
        """Any request to the application, with the token and on a connection of its own."""
        given = {**self.authorization, **(headers or {})}
        return requests.request(method, url, headers=given, timeout=TIMEOUT_SECONDS, **options)

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
