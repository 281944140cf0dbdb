"""No password of prod is where somebody who may not know it could read it, on whichever node."""

from __future__ import annotations

import base64
import json

import pytest

from infra import names
from infra.components import labels
from ops.stack import logs, swarm
from tests.prod.planned import NODES, PLAN, SERVICES
from tests.stack.cluster import Cluster
from tests.stack.passwords import found_in, passwords
from tests.stack.prod import Prod

# All that last, not health checks: their own processes may have the one password that they ask with.
_TOLD = r"""
for pid in 1 $(cat /proc/1/task/1/children); do tr '\0' '\n' < /proc/$pid/environ; done
for f in /proc/[0-9]*/cmdline; do tr '\0' ' ' < $f 2>/dev/null; echo; done
true
"""


@pytest.fixture
def values(prod: Prod) -> dict[str, str]:
    """The real passwords by name."""
    return passwords(prod)


def test_the_values_are_the_real_ones(cluster: Cluster, values: dict[str, str]) -> None:
    """Or every other test in this file would find nothing for the wrong reason."""
    container = cluster.service(names.APP).containers[0]
    mounted = container.inside.file(names.secret_path(names.POSTGRES_APP_PASSWORD)).content_string
    assert found_in(mounted, values) == [names.POSTGRES_APP_PASSWORD]


@pytest.mark.parametrize("node_name", NODES)
def test_not_in_what_an_engine_tells(cluster: Cluster, values: dict[str, str], node_name: str) -> None:
    told = json.dumps([container.details for container in cluster.containers[node_name]])
    assert "Config" in told
    assert found_in(told, values) == []


@pytest.mark.parametrize("node_name", NODES)
def test_not_in_the_environment_or_on_the_command_line_of_processes(
    cluster: Cluster, values: dict[str, str], node_name: str
) -> None:
    for container in cluster.containers[node_name]:
        said = container.inside.check_output("sh -c %s", _TOLD)
        assert "PATH=" in said
        assert "tini" in said
        assert found_in(said, values) == [], container.service


@pytest.mark.parametrize("name", SERVICES)
def test_not_in_what_the_swarm_tells_or_the_logs(
    prod: Prod, cluster: Cluster, values: dict[str, str], name: str
) -> None:
    with swarm.client(where=prod.manager) as api:
        tasks = json.dumps(api.tasks({"service": names.physical(prod.prefix, name)}))  # type: ignore[no-untyped-call]
        written = list(logs.lines(api, prod.prefix, name, follow=False, tail=2000))
    told = json.dumps(cluster.service(name).details)
    assert found_in("\n".join([told, tasks, *written]), values) == []


def test_secrets_are_labelled_and_tell_nothing(cluster: Cluster, values: dict[str, str]) -> None:
    used = {mount.secret for service in PLAN.services for mount in service.secrets}
    assert used <= set(cluster.secrets)
    for name in used:
        spec = cluster.secret(name)["Spec"]
        assert "Data" not in spec
        assert spec["Labels"][labels.INSTANCE] == cluster.prefix
    assert found_in(json.dumps(list(cluster.secrets.values())), values) == []


def test_not_in_configs(prod: Prod, values: dict[str, str]) -> None:
    with swarm.client(where=prod.manager) as api:
        configs = [
            item
            for item in api.configs()  # type: ignore[no-untyped-call]
            if item["Spec"]["Name"].startswith(f"{prod.prefix}-")
        ]
    assert len(configs) >= len(prod.plan.configs)
    content = "\n".join(base64.b64decode(item["Spec"]["Data"]).decode() for item in configs)
    assert "maxmemory" in content
    assert found_in(content + json.dumps(configs), values) == []


def test_not_in_the_files_of_the_state(prod: Prod, values: dict[str, str]) -> None:
    files = [path for path in prod.stack.folder.rglob("*") if path.is_file()]
    content = "\n".join(path.read_bytes().decode(errors="replace") for path in files)
    assert "password-redis-app-password" in content, "this is not where the state is"
    assert found_in(content, values) == []
