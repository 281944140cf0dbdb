"""One PostgreSQL and one Redis for all tests of backups; each test has a backup service of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backup.stand import Stand, standing
from tests.stack.plain import docker


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    if docker("version", "--format", "{{.Server.Version}}", check=False).strip() == "":
        pytest.skip("Docker does not answer")
    with standing(Stand("pidea-test-backup")) as made:
        yield made
