"""PostgreSQL's cluster goes to another minor version by `up` while users write and read, and to the newest again."""

from __future__ import annotations

import re

import pytest
import yaml

from infra import names
from tests.deploy.traffic import Traffic
from tests.invariants import wait_until_whole
from tests.prod import asking
from tests.prod.planned import members
from tests.stack.cluster import Cluster
from tests.stack.endpoints import Endpoints
from tests.stack.prod import Prod

# Images of two versions, and two times every member of the cluster.
pytestmark = [pytest.mark.operations, pytest.mark.timeout(1800)]

_NO_SUCH_MINOR = "15.99"


def test_members_go_there_and_back_one_by_one_and_nobody_notices(prod: Prod) -> None:
    wait_until_whole(prod)
    newest = _versions(prod)
    with prod.configured(_version(prod, _NO_SUCH_MINOR)):
        refused = prod.pidea("up")
    assert (refused.code, "Debian does not offer postgres" in refused.text) == (3, True), refused.text
    offered = set(re.findall(r"15\.\d+", refused.text)) - {_NO_SUCH_MINOR}
    assert newest <= offered, refused.text
    assert _versions(prod) == newest
    older = offered - newest
    if not older:
        pytest.skip("Debian offers one minor version just now")

    endpoints = Endpoints(prod.outputs(), host=prod.address(1))
    with prod.configured(_version(prod, min(older))):
        _nobody_notices(prod, endpoints)
        assert _versions(prod) == {min(older)}
    _nobody_notices(prod, endpoints)
    assert _versions(prod) == newest


def _nobody_notices(prod: Prod, endpoints: Endpoints) -> None:
    with Traffic(endpoints) as traffic:
        prod.up()
    assert traffic.failures == []
    assert traffic.requests > 50
    wait_until_whole(prod)


def _version(prod: Prod, version: str) -> dict[str, object]:
    section = "pidea:postgres"
    settings = yaml.safe_load(prod.stack.config_file.read_text())["config"]
    return {section: {**settings[section], "version": version}}


def _versions(prod: Prod) -> set[str]:
    """Of the servers that run; not of the programs in their images."""
    now = Cluster.look(prod)
    return {asking.psql(now, name, "SHOW server_version").split()[0] for name in members(names.POSTGRES)}
