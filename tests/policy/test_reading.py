"""Pulumi's own servicer reads a resource once for all rules, and tells each what it told before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi_policy.policy as sdk
import pytest
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel, ResourceValidationPolicy, StackValidationPolicy
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from policies import reading

_SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "s3cret"}
_PROPS = {"name": "redis", "image": UNKNOWN_STRING_VALUE, "password": _SECRET, "ports": [{"target": 6379}]}


@pytest.fixture(params=[False, True], ids=["by the SDK", "once"])
def reading_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    for name in ("json_format", "deserialize_properties", "unknown_checking_proxy"):
        monkeypatch.setattr(sdk, name, getattr(sdk, name))
    if request.param:
        reading.read_once()
    return bool(request.param)


def _properties(**changed: Any) -> Struct:
    message = Struct()
    message.update({**_PROPS, **changed})
    return message


def _servicer(policies: list[Any]) -> Any:
    return sdk._PolicyAnalyzerServicer("pack", "1.0.0", policies, EnforcementLevel.MANDATORY)


def _resource_rules(look: Callable[[Any], None], count: int) -> list[Any]:
    return [
        ResourceValidationPolicy(name=f"rule-{n}", description="d", validate=lambda args, _: look(args.props))
        for n in range(count)
    ]


def test_every_rule_sees_what_the_sdk_shows(reading_once: bool) -> None:
    seen: list[Any] = []
    servicer = _servicer(_resource_rules(seen.append, 3))

    servicer.Analyze(proto.AnalyzeRequest(type="t", name="n", urn="u", properties=_properties()), None)

    assert len(seen) == 3
    for props in seen:
        assert props["name"] == "redis"
        assert props["password"] == "s3cret"
        assert props["ports"][0]["target"] == 6379
        with pytest.raises(UnknownValueError):
            _ = props["image"]
    assert (seen[0] is seen[2]) == reading_once


def test_a_stack_rule_sees_every_resource_as_it_is(reading_once: bool) -> None:
    seen: list[list[Any]] = []
    rules = [
        StackValidationPolicy(
            name=f"rule-{n}", description="d", validate=lambda args, _: seen.append([r.props for r in args.resources])
        )
        for n in range(2)
    ]
    resources = [
        proto.AnalyzerResource(type="t", name=name, urn=name, properties=_properties(name=name)) for name in ("a", "b")
    ]

    _servicer(rules).AnalyzeStack(proto.AnalyzeStackRequest(resources=resources), None)

    assert [[props["name"] for props in look] for look in seen] == [["a", "b"], ["a", "b"]]
    assert (seen[0][1] is seen[1][1]) == reading_once


def test_what_a_remediation_changes_is_seen_by_no_rule(reading_once: bool) -> None:
    seen: list[Any] = []

    def repair(args: Any) -> Any:
        args.props["name"] = "changed"
        return args.props

    repairing = ResourceValidationPolicy(
        name="repairing",
        description="d",
        enforcement_level=EnforcementLevel.REMEDIATE,
        validate=lambda *_: None,
        remediate=repair,
    )
    servicer = _servicer([repairing, *_resource_rules(seen.append, 1)])
    request = proto.AnalyzeRequest(type="t", name="n", urn="u", properties=_properties())

    changed = servicer.Remediate(request, None)
    servicer.Analyze(request, None)

    assert changed.remediations[0].properties["name"] == "changed"
    assert changed.remediations[0].properties["password"] == _SECRET
    assert seen[0]["name"] == "redis"


def test_configuration_is_still_read(reading_once: bool) -> None:
    given: list[Any] = []
    rule = ResourceValidationPolicy(
        name="rule", description="d", validate=lambda args, _: given.append(args.get_config())
    )
    servicer = _servicer([rule])
    settings = Struct()
    settings.update({"most": 3})

    servicer.Configure(
        proto.ConfigureAnalyzerRequest(
            policyConfig={"rule": proto.PolicyConfig(enforcementLevel=proto.MANDATORY, properties=settings)}
        ),
        None,
    )
    servicer.Analyze(proto.AnalyzeRequest(type="t", name="n", urn="u", properties=_properties()), None)

    assert given == [{"most": 3}]
