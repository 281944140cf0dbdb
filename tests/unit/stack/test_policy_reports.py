"""What a reviewer and the tools get to read of a judged preview."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ops.errors import UsageError
from ops.policy import explained, reports, review, waivers
from ops.policy.review import Review
from ops.stack.reference import resolve
from policies import environments, exceptions
from policies.catalogue import RULES
from policies.exceptions import Waiver
from policies.model import Finding, Status

WAIVER = Waiver(
    rule="stops-in-time",
    resource="service-*",
    environment="prod",
    reason="until the database can be moved",
    owner="platform",
    expires=datetime.date(2030, 1, 31),
    line=1,
)


def finding(rule: str, status: Status, resource: str = "service-redis", message: str = "is wrong") -> Finding:
    return Finding(rule=rule, status=status, resource=resource, urn=f"urn:{resource}", message=message)


JUDGED = Review(
    stack="prod",
    environment="prod",
    source="the state of prod",
    counts={"create": 1},
    changes=["create service redis"],
    findings=[
        finding("rolls-back", Status.VIOLATION),
        finding("stops-in-time", Status.WAIVED),
        finding("is-waited-for", Status.UNKNOWN, message="cannot be judged until deployed: x is not known yet"),
    ],
    waivers=[WAIVER],
)
STAGING = dataclasses.replace(JUDGED, stack="staging", environment="staging")


def test_what_is_mandatory_in_prod_warns_in_staging() -> None:
    assert (JUDGED.refused, STAGING.refused) == (True, False)
    assert "**Refused**: 1 problem must be repaired first." in reports.markdown(JUDGED)
    assert "**Allowed**, with 1 warning." in reports.markdown(STAGING)
    clean = dataclasses.replace(JUDGED, findings=[])
    assert "**Allowed**: no rule objects." in reports.markdown(clean)


def test_markdown_says_what_how_who_and_until_when() -> None:
    text = reports.markdown(JUDGED)
    assert text.startswith("<!-- pidea-policy-report prod -->\n"), "the comment of an earlier run is found by it"
    remediation = RULES["rolls-back"].remediation
    assert f"| refused | `rolls-back` | service-redis | is wrong | {remediation} |" in text
    assert "| `stops-in-time` | service-redis | until the database can be moved | platform | 2030-01-31 |" in text
    assert "- `is-waited-for` service-redis cannot be judged until deployed: x is not known yet" in text
    assert "Compared with the state of prod: would create 1." in text
    assert "- create service redis" in text


def test_markdown_of_a_resource_is_no_markup() -> None:
    nasty = "x | y\n<img> @team `code` [a](b)"
    text = reports.markdown(dataclasses.replace(JUDGED, findings=[finding("rolls-back", Status.VIOLATION, "r", nasty)]))
    assert "x \\| y &lt;img&gt; @\u200bteam \\`code\\` \\[a\\](b)" in text


def test_sarif_has_results_and_suppressions() -> None:
    run = json.loads(reports.sarif(JUDGED))["runs"][0]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == set(RULES)
    violation, waived = run["results"]
    assert (violation["ruleId"], violation["level"]) == ("rolls-back", "error")
    assert "suppressions" not in violation
    justification = "until the database can be moved (platform, until 2030-01-31)"
    assert waived["suppressions"] == [{"kind": "external", "justification": justification}]
    assert json.loads(reports.sarif(STAGING))["runs"][0]["results"][0]["level"] == "warning"


def test_junit_has_a_case_for_each_rule() -> None:
    suite = ET.fromstring(reports.junit(JUDGED))  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (str(len(RULES)), "1", "1")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    skipped = [case.get("name") for case in suite if case.find("skipped") is not None]
    assert (failed, skipped) == (["rolls-back"], ["is-waited-for"])
    assert ET.fromstring(reports.junit(STAGING)).get("failures") == "0"  # noqa: S314


def test_json_has_everything() -> None:
    content = json.loads(reports.as_json(JUDGED))
    assert (content["refused"], content["source"]) == (True, "the state of prod")
    assert [item["level"] for item in content["findings"]] == ["mandatory"] * 3
    assert content["waivers"][0]["expires"] == "2030-01-31"


def test_a_rule_is_explained_with_its_levels_and_its_repair() -> None:
    text = explained.text([RULES["rolls-back"]])
    assert "staging: advisory, prod: mandatory" in text
    assert RULES["rolls-back"].remediation.split(".")[0] in " ".join(text.split())
    assert len(explained.text(None).splitlines()) == len(RULES)
    assert {item["id"] for item in json.loads(explained.as_json(None))} == set(RULES)


def test_there_is_no_unknown_rule() -> None:
    with pytest.raises(UsageError, match="There is no rule 'no-such'"):
        review.rule("no-such")


def test_an_environment_that_nobody_knows_is_as_strict_as_prod() -> None:
    assert environments.level(RULES["rolls-back"], "other") == environments.level(RULES["rolls-back"], "prod")


def test_exceptions_that_cannot_be_used_stop_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "exceptions.yaml"
    file.write_text("- rule: no-such\n  resource: x\n")
    monkeypatch.setattr(exceptions.load, "__defaults__", (file,))
    with pytest.raises(UsageError, match=r"nothing was touched.\nexceptions.yaml:1: 'environment' is missing"):
        waivers.current("prod")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"deployment": {"resources": [{}]}}', '{"deployment": 3}'])
def test_a_file_that_is_no_exported_state_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=r"state.json is not what `pulumi stack export` writes"):
        review.review(resolve("prod"), file)
    file.unlink()
    with pytest.raises(UsageError, match=r"state.json cannot be read: No such file"):
        review.review(resolve("prod"), file)
