"""Requests that a machine makes up from the OpenAPI document: none of them may be answered with 5xx."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.app.servers import CLIENTS, Backend

pytestmark = pytest.mark.app

load_all_checks()
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 25


def test_every_operation_keeps_to_its_description(embedded: Backend) -> None:
    document = embedded.client.get("/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://127.0.0.1:{embedded.port}")
    operations = [schema[path][method.upper()] for path, methods in document["paths"].items() for method in methods]
    assert len(operations) >= 15
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def explore(case: schemathesis.Case[Any]) -> None:
            headers = {"Authorization": f"Bearer {CLIENTS['tester']}"}
            case.call_and_validate(headers=headers, checks=CHECKS)

        explore()
