"""A cluster for each test, and a network where some of its members are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.cluster import redis as cluster
from tests.redis_ha.rig import ELSEWHERE, INSTANCE, Rig, docker


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Whole; a member that ends is started again, as by Swarm."""
    if docker("version", "--format", "{{.Server.Version}}", check=False).strip() == "":
        pytest.skip("Docker does not answer")
    Rig.build()
    made = Rig()
    try:
        made.up()
        docker("network", "create", "--internal", "--label", f"dev.pidea.rig={INSTANCE}", ELSEWHERE)
        for name in made.members:
            docker("update", "--restart", "always", made.container(name))
        made.wait(lambda: not cluster.problems(made.layout, made.run), "the cluster is whole", 120)
        yield made
    finally:
        made.down()
        docker("network", "rm", ELSEWHERE, check=False)
