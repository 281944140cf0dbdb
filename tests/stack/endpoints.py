"""The stack's ways in: the application through the edge, and the operators' pages behind their password."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

import requests

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

    def messages(self, chat: str | None = None) -> str:
        """The address of a chat's messages; a new chat without `chat`."""
        return f"{self.app}/api/chats/{chat or uuid.uuid4()}/messages"

    def write(self, url: str, content: str, role: str = "user", **headers: str) -> dict[str, Any]:
        """Appends a message. Raises requests.HTTPError where it is refused."""
        body = {"role": role, "content": content}
        answer = requests.post(url, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return dict(answer.json())

    def contents(self, url: str) -> list[str]:
        """What the newest page of a chat says. Raises requests.HTTPError where it cannot be read."""
        answer = requests.get(url, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return [message["content"] for message in answer.json()["messages"]]
