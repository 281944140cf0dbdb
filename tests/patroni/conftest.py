"""A cluster of PostgreSQL for each file's tests, under the file's PREFIX and on networks of its OCTET."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.patroni import measure
from tests.patroni.stand import Stand
from tests.stack.plain import docker


@pytest.fixture(scope="module")
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    if docker("version", "--format", "{{.Server.Version}}", check=False).strip() == "":
        pytest.skip("Docker does not answer")
    made = Stand(request.module.PREFIX, request.module.OCTET)
    try:
        made.up()
        measure.settle(made, 300)
        yield made
    finally:
        made.close()
