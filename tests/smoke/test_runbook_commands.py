"""The first checks of every alert's runbook work as written, against the stack that runs."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from infra import names
from infra import outputs as keys
from ops import paths
from tests.stack.commands import run
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance

PAGES = sorted((paths.REPO / "docs" / "runbooks").glob("Pidea*.md"))
_BLOCK = re.compile(r"^ *```(sh|promql)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# These look at the machine, not at the stack, and it may have neither the program nor the right.
_OF_THE_MACHINE = re.compile(
    r"\bsudo\b|timedatectl|docker (system df|stats)|^(du|ss|ps|top|dmesg|openssl) ", re.MULTILINE
)
# A pipe into grep says by its exit code that it found nothing: that is an answer.
_FOUND_NOTHING = 1
_BROKEN = re.compile(r"command not found|No such option|Error response from daemon|syntax error|No such command")


def first_checks(page: Path, language: str) -> list[str]:
    """The blocks of the section, as one would paste them; those for production alone are left out."""
    section = page.read_text().partition("## First checks")[2].partition("\n## ")[0]
    blocks = [textwrap.dedent(text).strip() for kind, text in _BLOCK.findall(section) if kind == language]
    return [block for block in blocks if not re.search(r"\bprod\b", block)]


COMMANDS = sorted({block for page in PAGES for block in first_checks(page, "sh") if not _OF_THE_MACHINE.search(block)})
# One after the other in a block; a line that goes on is indented, or closes what another opened.
_NEXT_QUERY = re.compile(r"\n(?=[^\s)])")
QUERIES = sorted(
    {query for page in PAGES for block in first_checks(page, "promql") for query in _NEXT_QUERY.split(block)}
)


def of_this_instance(block: str, stack: Instance) -> str:
    """The block with the instance's name and port in place of the environment's, and a service for the placeholder."""
    block = re.sub(r"(\./pidea [\w ]*?)staging\b", rf"\1staging --instance {stack.stack.instance}", block)
    return (
        block.replace("SERVICE", names.APP)
        .replace("pidea-staging-", f"{stack.prefix}-")
        .replace("localhost:3000", f"localhost:{int(stack.outputs()[keys.EDGE_PORT])}")
    )


def test_there_are_checks_to_run() -> None:
    assert len(COMMANDS) >= 20
    assert len(QUERIES) >= 40


@pytest.mark.pages
@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.split("\n")[0][:60])
def test_a_command_works_as_written(command: str, stack: Instance) -> None:
    done = run(["bash", "-c", of_this_instance(command, stack)], timeout_seconds=150.0)
    assert done.code in (0, _FOUND_NOTHING), done.text
    assert not _BROKEN.search(done.errors), done.text


@pytest.mark.parametrize("query", QUERIES, ids=lambda text: text.split("\n")[0][:60])
def test_a_query_is_one_that_prometheus_understands(query: str, stack: Instance) -> None:
    answer = Endpoints(stack.outputs()).prometheus("query", query=query)
    assert answer["resultType"] in {"vector", "scalar"}


def test_names_in_commands_are_the_plans(stack: Instance) -> None:
    known = {service.name for service in stack.plan.services}
    named = {name for block in COMMANDS for name in re.findall(r"\./pidea logs staging ([a-z-]+)", block)}
    assert named <= known, named - known
