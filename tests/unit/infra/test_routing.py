"""Who is told: what is refused of the settings, and that secrets of receivers are Swarm secrets and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from infra import names
from infra.credentials import login_digests
from infra.errors import SettingsError
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops.stack import rehearsal
from tests.unit.infra.conftest import read_config
from tests.unit.infra.recording import Recording, Secret, record
from tests.unit.infra.test_rendered_configs import load

MAIL = {
    "name": "mail",
    "kind": "email",
    "to": ["a@b.invalid", "c@b.invalid"],
    "sender": "p@b.invalid",
    "smarthost": "mail.b.invalid:587",
    "username": "p",
}
CHAT = {"name": "chat", "kind": "slack", "channel": "#pidea"}
CALL = {"name": "call", "kind": "pagerduty"}
HOOK = {"name": "hook", "kind": "webhook", "url": "https://hooks.invalid/pidea", "hasToken": True}
ALIVE = {"name": "alive", "kind": "webhook", "url": "https://alive.invalid/"}
ALL: dict[str, Any] = {
    "replicas": 3,
    "receivers": [MAIL, CHAT, CALL, HOOK, ALIVE],
    "critical": ["call", "mail", "hook"],
    "warning": ["chat"],
    "heartbeat": "alive",
}
SECRETS = {f"pidea:receiver-{name}": f"secret-of-{name}\n" for name in ("mail", "chat", "call", "hook")}


def config(**changed: Any) -> dict[str, Any]:
    return {**read_config("prod"), "pidea:alertmanager": {**ALL, **changed}}


def problem(**changed: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        StackSettings.from_config(config(**changed))
    (found,) = caught.value.problems
    return found


@pytest.fixture
def plan() -> DeploymentPlan:
    return build_plan(StackSettings.from_config(config()))


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record({**config(), **SECRETS})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"critical": ["cal"]}, "critical: no receiver is called 'cal'; there are alive, call, chat, hook, mail"),
        ({"warning": ["chat", "x"]}, "warning: no receiver is called 'x'"),
        ({"heartbeat": "x"}, "heartbeat: no receiver is called 'x'"),
        ({"heartbeat": "mail", "receivers": ALL["receivers"][:-1]}, "heartbeat: 'mail' must be a webhook"),
        ({"warning": []}, "nothing is told to receiver 'chat'"),
        ({"receivers": [*ALL["receivers"], CHAT]}, "there are 2 receivers called 'chat'"),
        ({"critical": [], "receivers": [CHAT, ALIVE]}, "warning has receivers and critical has none"),
        ({"receivers": [], "warning": []}, "critical: no receiver is called 'call'; there are none"),
    ],
)
def test_routes_that_lead_nowhere_are_named(changed: dict[str, Any], expected: str) -> None:
    found = problem(**changed)
    assert found.startswith("pidea:alertmanager: ")
    assert expected in found


@pytest.mark.parametrize(
    ("receiver", "expected"),
    [
        ({**CHAT, "kind": "sms"}, "'sms'"),
        ({"name": "x", "kind": "slack"}, "slack.channel: must be set"),
        ({**CHAT, "channel": "pidea"}, "slack.channel: "),
        ({**CHAT, "apiUrl": "https://hooks.invalid/secret"}, "slack.apiUrl: there is no such key"),
        ({**MAIL, "to": []}, "email.to: "),
        ({**MAIL, "to": ["a@b.invalid", "nobody"]}, "email.to.1: "),
        ({**MAIL, "smarthost": "mail.invalid"}, "email.smarthost: "),
        ({**HOOK, "url": "ftp://x"}, "webhook.url: "),
        ({**HOOK, "url": "https://user:password@hooks.invalid/"}, "webhook.url: "),
        ({**CALL, "name": "a" * 17}, "pagerduty.name: "),
        ({**CALL, "name": "On Call"}, "pagerduty.name: "),
    ],
)
def test_a_wrong_receiver_is_named(receiver: dict[str, Any], expected: str) -> None:
    found = problem(receivers=[receiver], critical=[receiver["name"]], warning=[], heartbeat=None)
    assert found.startswith("pidea:alertmanager.receivers.0")
    assert expected in found


def test_a_secret_without_its_receiver_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="pidea:receiver-alive: no receiver of that name has a secret"):
        StackSettings.from_config({**config(), "pidea:receiver-alive": {"secure": "v1:…"}})
    # As the file has it, encrypted: that it is there is all that is looked at.
    StackSettings.from_config({**config(), "pidea:receiver-call": {"secure": "v1:…"}})


def test_alertmanagers_read_the_secrets_and_have_a_way_out(plan: DeploymentPlan) -> None:
    for service in plan.services:
        mounted = {mount.secret for mount in service.secrets if mount.secret.startswith("receiver-")}
        told = service.image == names.ALERTMANAGER
        assert mounted == ({key.removeprefix("pidea:") for key in SECRETS} if told else set()), service.name
        assert (names.EGRESS in service.networks) == told
    assert "rules-heartbeat" in {config.name for config in plan.configs}


def test_each_kind_is_told_by_way_of_a_file(plan: DeploymentPlan) -> None:
    found = {receiver["name"]: receiver for receiver in load(plan, "alertmanager-yml")["receivers"]}
    assert [mail["to"] for mail in found["operators"]["email_configs"]] == MAIL["to"]
    assert {mail["auth_password_file"] for mail in found["operators"]["email_configs"]} == {
        "/run/secrets/receiver-mail"
    }
    (call,) = found["operators"]["pagerduty_configs"]
    assert call["routing_key_file"] == "/run/secrets/receiver-call"
    (hook,) = found["operators"]["webhook_configs"]
    assert hook["http_config"]["authorization"]["credentials_file"] == "/run/secrets/receiver-hook"
    assert [chat["api_url_file"] for chat in found["warnings"]["slack_configs"]] == ["/run/secrets/receiver-chat"]
    assert [alive["url"] for alive in found["heartbeat"]["webhook_configs"]] == [ALIVE["url"]]


def test_without_receivers_alerts_are_shown_and_nothing_leaves() -> None:
    settings = StackSettings.from_config(read_config("staging"))
    plan = build_plan(settings)
    assert names.EGRESS not in {network.name for network in plan.networks}
    assert [set(receiver) for receiver in load(plan, "alertmanager-yml")["receivers"]] == [{"name"}] * 3


def test_a_receivers_secret_is_one_for_the_engine_and_never_a_name(recording: Recording) -> None:
    secrets = {name: item for name, item in recording.of("docker:index/secret:Secret").items() if "receiver-" in name}
    assert len(secrets) == len(SECRETS)
    for item in secrets.values():
        assert isinstance(item.inputs["data"], Secret)
        assert len(item.inputs["name"]) <= 64
    shown = [{key: value for key, value in item.inputs.items() if key != "data"} for item in recording.resources]
    assert "secret-of-" not in json.dumps(shown, default=lambda value: "[secret]")


@pytest.mark.parametrize("text", ["another", "another\n"])
def test_another_secret_has_another_name_and_a_line_break_makes_none(text: str) -> None:
    def digest(secret: str, instance: str = "pidea-prod") -> str:
        pulumi.runtime.set_all_config({"pidea:receiver-call": secret}, ["pidea:receiver-call"])
        return login_digests(["receiver-call"], instance)["receiver-call"]

    assert digest(text) == digest("another")
    assert digest(text) != digest("one")
    assert digest(text) != digest(text, "pidea-other")


def test_a_secret_that_is_missing_or_in_plain_is_refused() -> None:
    pulumi.runtime.set_all_config({}, [])
    with pytest.raises(SettingsError, match="pidea:receiver-call: must be set to the receiver's secret"):
        login_digests(["receiver-call"], "pidea-prod")
    pulumi.runtime.set_all_config({"pidea:receiver-call": "key"}, [])
    with pytest.raises(SettingsError, match="stands in plain text"):
        login_digests(["receiver-call"], "pidea-prod")


def test_an_instance_beside_the_environment_tells_nobody_and_is_not_held() -> None:
    given = {**config(), **SECRETS}
    kept = rehearsal.of(given)
    assert kept["pidea:alertmanager"] == {"replicas": 3}
    assert not [key for key in kept if "receiver-" in key]
    assert {key for key in given if key not in kept} == set(SECRETS)
    assert "receivers" in given["pidea:alertmanager"]
    assert (given["pidea:slo"]["holdDeployments"], kept["pidea:slo"]) == (True, {"windowDays": 28})
