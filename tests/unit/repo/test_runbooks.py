"""The pages for day-2 work: all of them in the index, and every command in them is one that there is."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from infra import names
from ops import cli
from ops.stack import settings
from ops.stack.reference import resolve

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if not path.name.startswith(("Pidea", "README")))
ALL_PAGES = sorted(FOLDER.glob("*.md"))
_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(\./pidea [^`]+)`")
# What a page writes for something that the reader knows better.
_PLACEHOLDERS = {"STACK", "NAME", "PAGE", "VERSION", "NODE", "MEMBER"}

each_page = pytest.mark.parametrize("page", ALL_PAGES, ids=lambda path: path.stem)


def blocks(page: Path) -> list[str]:
    return _BLOCK.findall(page.read_text())


def pidea_lines(page: Path) -> Iterator[list[str]]:
    """The words after `./pidea` of every command on the page."""
    text = page.read_text()
    lines = [line for block in _BLOCK.findall(text) for line in block.splitlines()]
    for line in [*lines, *_INLINE.findall(text)]:
        for found in re.findall(r"\./pidea ([^|;&)\n]+)", line):
            yield shlex.split(found.rstrip('"'), comments=True)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and what is left of them. Raises KeyError where there is none."""
    command: Any = typer.main.get_command(cli.build())
    left = list(words)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        command = command.commands[left.pop(0)]
    return command, left


def test_the_index_has_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text()))
    assert len(PAGES) >= 10
    assert linked == {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_says_how_one_knows_that_it_worked(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert "How you know that it worked" in headings
    assert blocks(page)


@each_page
def test_blocks_are_shell(page: Path) -> None:
    for block in blocks(page):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


@each_page
def test_commands_and_their_options_are_there(page: Path) -> None:
    for words in pidea_lines(page):
        try:
            command, left = command_of(words)
        except (KeyError, IndexError):
            raise AssertionError(f"{page.name}: there is no ./pidea {' '.join(words)}") from None
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        unknown = [word for word in left if word.startswith("-") and word.partition("=")[0] not in known]
        assert unknown == [], f"{page.name}: ./pidea {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_services_and_volumes_of_prod_are_those_of_the_plan(page: Path) -> None:
    plan = settings.plan_of(resolve("prod"))
    logical = [*(service.name for service in plan.services), *(volume.name for volume in plan.volumes)]
    known = {names.physical(plan.instance, name) for name in logical}
    named = set(re.findall(rf"{plan.instance}-[a-z0-9]+(?:-[a-z0-9]+)*", page.read_text()))
    assert named <= known, named - known
