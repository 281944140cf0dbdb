"""Published stacks of others are judged, and the page that says what was found is current."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from policies.catalogue import RULES
from tests.policy.published import judged, stacks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policies" / "published.md"
BY_NAME = {stack.name: stack for stack in stacks.all_of_them()}


def found(name: str) -> Counter[str]:
    return judged.found_in(BY_NAME[name])


def test_the_page_is_current() -> None:
    page = judged.page(list(BY_NAME.values()))
    if os.environ.get("PIDEA_UPDATE_GOLDENS") == "1":
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, "PIDEA_UPDATE_GOLDENS=1 writes it anew"


@pytest.mark.parametrize("name", BY_NAME)
def test_a_stack_says_where_it_is_from(name: str) -> None:
    stack = BY_NAME[name]
    assert len(stack.commit) == 40
    assert stack.repository.count("/") == 1
    assert stack.services >= 2


@pytest.mark.parametrize("name", BY_NAME)
def test_what_every_example_leaves_out_is_found_on_every_service(name: str) -> None:
    stack, counts = BY_NAME[name], found(name)
    for rule in ("read-only-root", "drops-capabilities", "rolls-back", "images-pinned"):
        assert counts[rule] == stack.services, rule


def test_there_are_enough_of_them() -> None:
    assert len(BY_NAME) >= 6
    assert judged.NOT_ASKED - set(RULES) == set()
    assert judged.OURS - set(RULES) == set()


def test_the_known_sins_are_found() -> None:
    """Counted by hand from the files."""
    assert found("swarmprom")["no-engine-socket"] == 2, "cAdvisor has the socket, and the folder that it is in"
    assert found("swarmprom")["no-secrets-in-plain-sight"] == 2, "Grafana's password and Caddy's"
    assert found("swarmprom")["limits-set"] == 9, "no service has a processor limit, one no memory limit either"
    assert found("swarmprom")["has-health-check"] == 7, "Caddy alone has one"
    assert found("dockprom")["volumes-protected"] == 2
    assert found("dockprom")["only-edge-publishes"] == 4, "Caddy's four ports"
    assert found("docker-elk")["no-secrets-in-plain-sight"] == 3
    assert found("docker-elk")["no-mutable-tags"] == 0, "its images are built"
    assert found("redis-cluster")["no-secrets-in-plain-sight"] == 6
    assert found("redis-cluster")["data-stays-with-its-node"] == 6
    assert found("voting-app")["no-engine-socket"] == 1
    assert found("voting-app")["only-edge-publishes"] == 4
    assert found("jaeger-hotrod")["no-mutable-tags"] == 2


def test_what_is_sound_is_not_objected_to() -> None:
    assert found("prometheus-swarm")["no-engine-socket"] == 1, "cAdvisor's folder, and not the read-only root"
    assert found("voting-app")["stops-in-time"] == 5, "the visualizer says how long it may take"
    assert found("docker-elk")["images-from-allowed-sources"] == 3
    assert found("loki")["no-secrets-in-plain-sight"] == 0
    assert found("swarmprom")["reserves-memory"] == 1


def test_a_word_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("repository: a/b\nfile: c\ncommit: d\nservices: {x: {image: y, privilegd: true}}\n")
    with pytest.raises(ValueError, match=r"x.yaml says what nobody reads: \['privilegd'\]"):
        stacks._read(path)
