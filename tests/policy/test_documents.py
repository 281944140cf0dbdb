"""The pages on the rules are current, and what they point at is there. `PIDEA_UPDATE_GOLDENS=1` writes them anew."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import pytest

from ops.policy import reference
from policies import cis
from policies.catalogue import RULES

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs" / "policies"


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_is_current(name: str) -> None:
    page, path = reference.PAGES[name](), DOCUMENTS / name
    if os.environ.get("PIDEA_UPDATE_GOLDENS") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    written = path.read_text(encoding="utf-8").splitlines()
    difference = "\n".join(difflib.unified_diff(written, page.splitlines(), "the page", "the rules", lineterm=""))
    assert not difference, f"{name} is not what the rules are; PIDEA_UPDATE_GOLDENS=1 writes it anew:\n{difference}"


def test_every_rule_has_a_chapter_of_its_own() -> None:
    chapters = re.findall(r"(?m)^### (.+)$", reference.rules())
    assert sorted(chapters) == sorted(RULES)
    for name in reference.PAGES:
        for anchor in re.findall(r"\]\((?:rules\.md)?#([\w-]+)\)", reference.PAGES[name]()):
            assert anchor in chapters, name


def test_no_rule_of_the_benchmark_is_left_out() -> None:
    assert re.findall(r"(?m)^\| ([57]\.\d+) \|", reference.benchmark()) == [row.id for row in cis.TABLE]


def test_a_theme_is_a_file() -> None:
    themes = re.findall(r"(?m)^## `(.+)`$", reference.rules())
    assert themes
    for theme in themes:
        assert (DOCUMENTS.parents[1] / theme).is_file()
