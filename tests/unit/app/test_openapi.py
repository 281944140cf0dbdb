"""The description of the API: complete for each operation, and true about who may ask."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.services import open_services
from app.settings import Settings
from app.telemetry.workers import Worker

TOKEN = "token-of-the-reader"
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
# Its 503 is the report itself, which says what is down.
REPORT = "GET /api/health"


def environment(folder: Path) -> dict[str, str]:
    (folder / "clients").write_text(f"reader {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    return {"API_CLIENTS_FILE": str(folder / "clients"), "VERSION": "1.2.3"}


class Described:
    """The application without servers, its description, and what it answers to a request for each operation."""

    def __init__(self, folder: Path) -> None:
        self.document: dict[str, Any] = {}
        self.anonymous: dict[str, httpx.Response] = {}
        self.known: dict[str, httpx.Response] = {}
        asyncio.run(self._look(folder))

    @property
    def operations(self) -> dict[str, dict[str, Any]]:
        return {
            f"{method.upper()} {path}": operation
            for path, operations in self.document["paths"].items()
            for method, operation in operations.items()
        }

    async def _look(self, folder: Path) -> None:
        settings = Settings.from_environment(environment(folder), folder / "embedded")
        async with open_services(settings, Worker(0, 1)) as services:
            app = create_app(services, settings)
            self.document = (await self._ask(app, "GET", "/api/openapi.json")).json()
            for name in self.operations:
                method, path = name.split(" ")
                path = path.replace("{chat_id}", str(UUID(int=1))).replace("{message_id}", "1")
                self.anonymous[name] = await self._ask(app, method, path)
                self.known[name] = await self._ask(app, method, path, {"Authorization": f"Bearer {TOKEN}"})

    async def _ask(self, app: FastAPI, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            return await http.request(method, path, headers=headers)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Described:
    return Described(tmp_path_factory.mktemp("openapi"))


def references(part: object) -> Iterator[str]:
    """Every $ref below a part of the document."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_it_describes_this_release(described: Described) -> None:
    assert described.document["openapi"].startswith("3.")
    assert described.document["info"]["version"] == "1.2.3"
    assert len(described.operations) >= 15


def test_each_operation_has_an_id_of_its_own_and_a_short_summary(described: Described) -> None:
    ids = [operation["operationId"] for operation in described.operations.values()]
    assert len(set(ids)) == len(ids)
    for name, operation in described.operations.items():
        assert 5 <= len(operation["summary"]) <= 60, name
        # One word is what FastAPI makes of the function's name where none is given.
        assert re.fullmatch(r"[A-Z]\w+( \w+)+", operation["summary"]), name
        assert operation["description"].endswith("."), name
        assert operation["tags"], name


def test_the_ids_are_all_of_one_form_for_generated_clients(described: Described) -> None:
    # FastAPI makes up one such as figures_api_status_get, which changes with the path, where none is given.
    ids = [operation["operationId"] for operation in described.operations.values()]
    assert [name for name in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name)] == []


def test_each_error_is_a_problem_document(described: Described) -> None:
    for name, operation in described.operations.items():
        errors = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
        if name == REPORT:
            del errors["503"]
        for status, answer in errors.items():
            assert answer["content"] == PROBLEM, (name, status)
            assert answer["description"], (name, status)


def test_each_operation_has_one_success(described: Described) -> None:
    for name, operation in described.operations.items():
        successes = [status for status in operation["responses"] if status[0] == "2"]
        assert len(successes) == 1, name
        assert ("content" in operation["responses"][successes[0]]) == (successes != ["204"]), name


def test_protected_operations_tell_of_what_refuses_them(described: Described) -> None:
    for name, operation in described.operations.items():
        if "security" in operation:
            assert operation["responses"].keys() >= {"400", "401", "422", "429", "503", "504"}, name
            if "{" in name:
                assert "404" in operation["responses"], name
            if "requestBody" in operation:
                assert "413" in operation["responses"], name


def test_the_problem_document_is_described(described: Described) -> None:
    problem = described.document["components"]["schemas"]["Problem"]
    assert set(problem["properties"]) == {"type", "title", "status", "detail", "trace_id"}
    assert set(problem["required"]) == {"title", "status", "detail"}


def test_the_refusals_are_as_they_are_described(described: Described) -> None:
    schema = described.document["components"]["schemas"]["Problem"]
    refusals = [
        answer for answers in (described.anonymous, described.known) for answer in answers.values() if answer.is_error
    ]
    assert {answer.status_code for answer in refusals} >= {401, 404, 422}
    for answer in refusals:
        assert answer.headers["content-type"] == "application/problem+json"
        assert jsonschema_rs.is_valid(schema, answer.json()), answer.text


def test_each_answer_has_a_status_that_is_described(described: Described) -> None:
    for answers in (described.anonymous, described.known):
        for name, answer in answers.items():
            assert str(answer.status_code) in described.operations[name]["responses"], name


def test_each_request_body_has_an_example_of_its_form(described: Described) -> None:
    components = described.document["components"]
    with_body = {name: operation for name, operation in described.operations.items() if "requestBody" in operation}
    assert {name.split(" ")[0] for name in with_body} == {"POST", "PATCH"}
    for name, operation in with_body.items():
        assert operation["requestBody"]["required"], name
        (reference,) = references(operation["requestBody"])
        schema = components["schemas"][reference.rpartition("/")[2]]
        assert schema["additionalProperties"] is False, name
        assert schema["examples"], name
        for example in schema["examples"]:
            jsonschema_rs.validate({**schema, "components": components}, example)


def test_parameters_have_limits(described: Described) -> None:
    limits = {"maxLength", "maximum", "format", "enum"}
    for name, operation in described.operations.items():
        for parameter in operation.get("parameters", []):
            schema = parameter["schema"]
            parts = schema.get("anyOf", [schema])
            assert all(limits & part.keys() for part in parts if part["type"] != "null"), (name, parameter["name"])


def test_every_reference_leads_somewhere_and_nothing_is_left_over(described: Described) -> None:
    schemas = described.document["components"]["schemas"]
    used = {reference.removeprefix("#/components/schemas/") for reference in references(described.document)}
    assert used == schemas.keys()


def test_who_needs_a_token_is_as_described(described: Described) -> None:
    assert described.document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for name, operation in described.operations.items():
        assert operation.get("security", []) in ([], [{"bearer": []}]), name
        assert (described.anonymous[name].status_code == 401) == ("security" in operation), name
        assert described.known[name].status_code != 401, name


def test_only_what_looks_around_is_open(described: Described) -> None:
    open_ = {name for name, operation in described.operations.items() if not operation.get("security")}
    assert open_ == {REPORT, "GET /api/health/live", "GET /api/health/ready", "GET /api/status"}
