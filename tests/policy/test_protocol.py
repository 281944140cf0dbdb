"""The pack answers as every engine asks, started in both ways in which official command lines start it.

Until 2025 they ran the script `pulumi-analyzer-policy-python ENGINE . -virtualenv=…` in the pack's folder; since then
the language host runs `python -u -m pulumi.policy ENGINE PACK` in the program's. The script does the same with the
interpreter of the virtual environment, and reads its first line as the port. Neither program is in a package registry,
so the processes are started here as those start them, and asked over the same protocol.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policies import environments
from policies.catalogue import RULES
from policies.model import Level
from tests.policy.fixtures import SOUND, changed

PACK = Path(__file__).resolve().parents[2] / "policies"
# Nobody listens there: the pack only keeps the address.
ENGINE = "127.0.0.1:1"
URN = "urn:pulumi:dev::pidea::docker:index/service:Service::service-redis"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def environment(pidea_environment: str | None) -> dict[str, str]:
    """As an engine that has no language plugin sets it: the stack's configuration, and whose it is."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "PIDEA_"))}
    config = {} if pidea_environment is None else {"pidea:environment": pidea_environment}
    of_stack = {"PULUMI_ORGANIZATION": "organization", "PULUMI_PROJECT": "pidea", "PULUMI_STACK": "dev"}
    return {**inherited, **of_stack, "PULUMI_DRY_RUN": "true", "PULUMI_CONFIG": json.dumps(config)}


WAYS = {
    "by the script": ([ENGINE, "."], PACK, environment("staging"), "staging"),
    "by the language host": ([ENGINE, str(PACK)], PACK.parent, environment(None), "prod"),
}


@pytest.fixture(scope="module", params=WAYS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Any, str]]:
    """The analyzer of a running pack, and the environment whose levels it must have."""
    arguments, folder, env, expected = WAYS[request.param]
    command = [sys.executable, "-u", "-m", "pulumi.policy", *arguments]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel), expected
        finally:
            process.terminate()


def struct(props: Mapping[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(dict(props))
    return made


def analyzed(analyzer: Any, props: Mapping[str, Any]) -> Any:
    kind = "docker:index/service:Service"
    options = analyzer_pb2.AnalyzerResourceOptions()
    request = analyzer_pb2.AnalyzeRequest(
        type=kind, urn=URN, name="service-redis", properties=struct(props), options=options
    )
    return analyzer.Analyze(request)


def test_the_interpreter_is_where_the_project_file_says() -> None:
    project = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())
    assert project["runtime"] == {"name": "python", "options": {"virtualenv": "../.venv"}}
    assert (PACK / "../.venv/bin/python").exists()


def test_every_rule_is_told_with_its_level(served: tuple[Any, str]) -> None:
    analyzer, name = served
    told = analyzer.GetAnalyzerInfo(empty_pb2.Empty())
    assert told.name == "pidea"
    levels = {
        Level.ADVISORY: analyzer_pb2.EnforcementLevel.ADVISORY,
        Level.MANDATORY: analyzer_pb2.EnforcementLevel.MANDATORY,
    }
    assert {policy.name: policy.enforcementLevel for policy in told.policies} == {
        rule.id: levels[environments.level(rule, name)] for rule in RULES.values()
    }
    assert {policy.name for policy in told.policies if policy.policy_type == 2} == {
        rule.id for rule in RULES.values() if rule.judge_stack
    }, "the rules on whole stacks"


def test_a_resource_is_judged_and_unknown_values_are_said(served: tuple[Any, str]) -> None:
    analyzer, _ = served
    assert not analyzed(analyzer, SOUND).diagnostics[:0]
    sound = {found.policyName for found in analyzed(analyzer, SOUND).diagnostics}
    broken = analyzed(analyzer, changed("taskSpec.containerSpec.healthcheck", None)).diagnostics
    (finding,) = [found for found in broken if found.policyName not in sound]
    assert finding.policyName == "has-health-check"
    assert finding.message.count("service-redis has no health check") == 1
    hidden = analyzed(analyzer, changed("taskSpec.containerSpec.image", UNKNOWN_TEXT))
    said = [*hidden.diagnostics, *hidden.not_applicable]
    assert any("cannot be judged until deployed" in str(item) for item in said)


def test_a_stack_is_judged(served: tuple[Any, str]) -> None:
    analyzer, _ = served
    volume = analyzer_pb2.AnalyzerResource(
        type="docker:index/volume:Volume", urn="urn:v", name="volume-x", properties=struct({"name": "x"})
    )
    told = analyzer.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=[volume]))
    assert "volumes-protected" in {found.policyName for found in told.diagnostics}


def test_a_repair_is_handed_back(served: tuple[Any, str]) -> None:
    analyzer, _ = served
    asked = analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.EnforcementLevel.REMEDIATE)
    analyzer.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={"read-only-root": asked}))
    kind = "docker:index/service:Service"
    props = struct(changed("taskSpec.containerSpec.readOnly", False))
    told = analyzer.Remediate(analyzer_pb2.AnalyzeRequest(type=kind, urn=URN, name="service-redis", properties=props))
    (repair,) = [found for found in told.remediations if found.policyName == "read-only-root"]
    assert repair.properties["taskSpec"]["containerSpec"]["readOnly"] is True


def test_a_name_that_nobody_reads_is_refused(served: tuple[Any, str]) -> None:
    analyzer, _ = served
    with pytest.raises(grpc.RpcError) as refused:
        analyzer.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={"nothing": analyzer_pb2.PolicyConfig()}))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "nothing: there is no such rule" in refused.value.details()
