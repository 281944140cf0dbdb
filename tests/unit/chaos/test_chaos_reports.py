"""JSON, JUnit, page and table say the same, and are what their readers expect."""

from __future__ import annotations

import html.parser
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from ops import paths
from ops.chaos import goals, timeline
from ops.chaos.reports import data, junit, page, table
from ops.chaos.run import Result
from ops.chaos.scenarios import by_name
from ops.errors import UsageError
from tests.unit.chaos.observed import observation, sample


def report() -> dict[str, Any]:
    """Two runs of one scenario: the first held, the second lost a message."""
    scenario = by_name("kill-redis-primary")
    held, broken = observation(), observation(stored_messages=observation().stored_messages[1:])
    results = [
        Result(scenario=scenario, repeat=number, observation=seen, verdict=goals.judge(seen, scenario.asked))
        for number, seen in enumerate((held, broken), 1)
    ]
    made = data.of(results, "prod-lab")
    for run in made["runs"]:
        run["begin"] = f"2026-11-01T00:0{run['repeat']}:00.000+00:00"
    return made


class Nesting(html.parser.HTMLParser):
    """Fails where a tag is not closed, or another one is closed than was opened last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


def test_json_has_every_figure_and_the_verdicts() -> None:
    made = json.loads(json.dumps(report()))
    assert made["held"] is False
    assert [run["held"] for run in made["runs"]] == [True, False]
    assert set(made["runs"][0]["figures"]) == set(goals.FIGURES)
    assert made["summary"]["kill-redis-primary"]["figures"]["lost_messages"] == {"median": 0.5, "worst": 1, "sum": 1}


def test_junit_has_a_case_for_each_run_and_a_failure_for_the_broken_one() -> None:
    suite = ET.fromstring(junit.of(report()).split("\n", 1)[1])  # noqa: S314 - our own text
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["kill-redis-primary (1)", "kill-redis-primary (2)"]
    failures = [case.find("failure") for case in cases]
    assert failures[0] is None
    assert failures[1] is not None
    assert "acknowledged chat messages lost" in str(failures[1].get("message"))


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    text = page.of(report())
    reader = Nesting()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert sum(tag == "svg" for tag, _ in reader.seen) == 2
    assert not [attributes for _, attributes in reader.seen if "src" in attributes]
    assert not re.findall(r"https?://|@import|url\(", text)
    assert "&lt;more&gt;" in text
    assert "<more>" not in text


def test_the_drawing_shows_fault_roles_writes_and_latency_where_they_were() -> None:
    drawn = ET.fromstring(page.drawing(report()["runs"][0]["timeline"]))  # noqa: S314 - our own text
    texts = [element.text for element in drawn.iter("text")]
    for shown in (
        "redis-1",
        "postgres-3",
        "sentinel-2",
        "redis writes / s",
        "failed requests / s",
        "fault",
        "whole again",
    ):
        assert shown in texts
    fault = next(element for element in drawn.iter("rect") if element.get("class") == "fault")
    # 10 to 12 of 30 s, of the 950 that are right of the names.
    assert float(str(fault.get("x"))) == pytest.approx(150 + 950 * 10 / 30, abs=0.1)
    assert float(str(fault.get("width"))) == pytest.approx(950 * 2 / 30, abs=0.2)


def test_a_role_ends_where_it_changes_and_where_nobody_sees_the_member() -> None:
    other = {"redis-1": {"role": "slave"}}
    seen = [sample(1), sample(1.25), sample(1.5, redis=other), sample(9, redis=other)]
    spans = [span for span in timeline.roles(seen, 1000.0) if span.member == "redis-1"]
    assert [(span.role, span.begin, span.end) for span in spans] == [
        ("master", 1.0, 1.25),
        ("slave", 1.5, 1.5),
        ("slave", 9.0, 9.0),
    ]


def test_the_table_names_goals_that_were_met_and_those_that_were_not() -> None:
    text = table.of(report())
    assert "| `kill-redis-primary` | 1 of 2 |" in text
    assert re.search(r"acknowledged chat messages lost \| ≤ 0 \| 1 \| 1 \| \*\*no\*\*", text)
    assert re.search(r"Redis write gap \| ≤ 3.00 s \| 0.10 s \| 1 \| yes", text)
    assert "kill-redis-primary (2): acknowledged chat messages lost: 1" in text


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "chaos.md"
    path.write_text(f"before\n\n{table.BEGIN}\nearlier\n{table.END}\n\nafter\n")
    table.write(path, report())
    once = path.read_text()
    table.write(path, report())
    assert path.read_text() == once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert "earlier" not in once


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "chaos.md"
    path.write_text("nothing\n")
    with pytest.raises(UsageError, match="no place"):
        table.write(path, report())
    assert path.read_text() == "nothing\n"


def test_our_own_page_has_the_marks() -> None:
    text = (paths.REPO / "docs" / "chaos.md").read_text()
    assert text.index(table.BEGIN) < text.index(table.END)


def test_reports_of_one_stack_make_one_and_no_run_counts_twice(tmp_path: Path) -> None:
    made = report()
    first, both = tmp_path / "first.json", tmp_path / "both.json"
    first.write_text(json.dumps({**made, "runs": made["runs"][:1]}))
    both.write_text(json.dumps(made))
    assert data.merged([first, both]) == json.loads(json.dumps(made))


def test_runs_of_several_reports_are_numbered_as_they_came(tmp_path: Path) -> None:
    made = report()
    run = made["runs"][0]
    later, earlier = tmp_path / "later.json", tmp_path / "earlier.json"
    later.write_text(json.dumps({**made, "runs": [{**run, "begin": "2026-11-02T00:00:00.000+00:00", "repeat": 1}]}))
    earlier.write_text(json.dumps({**made, "runs": [{**run, "begin": "2026-11-01T00:00:00.000+00:00", "repeat": 1}]}))
    assert [one["repeat"] for one in data.merged([later, earlier])["runs"]] == [2, 1]


def test_kept_figures_make_the_same_table_as_the_whole_report(tmp_path: Path) -> None:
    made, kept = report(), tmp_path / "chaos.json"
    data.write_figures(kept, made)
    assert table.of(data.merged([kept])) == table.of(made)
    assert "timeline" not in kept.read_text()
    assert len(kept.read_text().splitlines()) == 1 + len(made["runs"]) + 1


def test_a_drawing_of_figures_alone_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "chaos.json"
    data.write_figures(kept, report())
    data.require_timelines(report())
    with pytest.raises(UsageError, match="--html and --junit"):
        data.require_timelines(data.merged([kept]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({**report(), "processors": 64}), "different conditions"),
        ("{}", "is no report"),
        ("not JSON", "is no report"),
        (None, "cannot be read"),
    ],
)
def test_what_makes_no_report_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    good, other = tmp_path / "good.json", tmp_path / "other.json"
    good.write_text(json.dumps({**report(), "processors": 2}))
    if text is not None:
        other.write_text(text)
    with pytest.raises(UsageError, match=said):
        data.merged([good, other])
