"""The committed stacks pass, and every exception that they need is explained and needed."""

from __future__ import annotations

import pytest

from policies import environments, exceptions
from policies.catalogue import RULES
from policies.model import Status
from tests.policy import real


@pytest.mark.parametrize("stack", real.STACKS)
def test_a_committed_stack_passes(stack: str) -> None:
    objections = [
        f"{finding.rule}: {finding.resource} {finding.message}"
        for finding in real.judged(real.resources(stack), stack)
        if finding.status is Status.VIOLATION
    ]
    assert objections == []


@pytest.mark.parametrize("stack", real.STACKS)
def test_a_stack_that_keeps_its_backups_on_servers_passes(stack: str) -> None:
    host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJGmQ5gYV0vVqFJ8oFP3wP6qVvJc0wZb1fCwpo0b7uV"
    servers = {
        "repository": {"kind": "s3", "url": "https://s3.invalid", "bucket": "backups", "accessKeyId": "AKIA1"},
        "offsite": {
            **{"kind": "sftp", "host": "nas.invalid", "username": "pidea"},
            **{"path": "/srv/stack", "hostKey": host_key},
        },
    }
    logins = {"pidea:backup-repository-login": "secret", "pidea:backup-offsite-login": "key"}
    found = real.judged(real.resources(stack, {"pidea:backup": servers, **logins}), stack)
    assert [f"{one.rule}: {one.resource} {one.message}" for one in found if one.status is Status.VIOLATION] == []


@pytest.mark.parametrize("stack", real.STACKS)
def test_with_everything_known_everything_is_judged(stack: str) -> None:
    findings = real.judged(real.resources(stack), stack)
    assert [f"{item.rule}: {item.message}" for item in findings if item.status is Status.UNKNOWN] == []


def test_every_exception_says_why() -> None:
    for waiver in exceptions.load(RULES):
        assert len(waiver.reason.split()) >= 5, f"exceptions.yaml:{waiver.line}"


def test_every_rule_can_be_understood() -> None:
    for rule in RULES.values():
        assert rule.title, rule.id
        assert rule.remediation.endswith("."), rule.id
        assert rule.description.endswith("."), rule.id
        assert (rule.judge is None) != (rule.judge_stack is None), rule.id
        assert bool(rule.types) == (rule.judge is not None), rule.id


def test_the_tables_name_rules_that_exist() -> None:
    assert set(environments.EVERYWHERE) - set(RULES) == set()
    assert set(environments.PARAMETERS) - set(RULES) == set()
    for rule_id, by_environment in environments.PARAMETERS.items():
        for values in by_environment.values():
            assert set(values) - set(RULES[rule_id].parameters) == set(), rule_id
