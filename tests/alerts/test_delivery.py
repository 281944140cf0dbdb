"""What two real Alertmanagers tell a real mail server and a real webhook: each page once, and after the loss of one."""

from __future__ import annotations

import datetime
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan
from ops.errors import UsageError
from ops.stack import silences
from tests.alerts.rules import alerts
from tests.unit.infra.alertmanagers import Member, running
from tests.unit.infra.conftest import read_config
from tests.unit.infra.test_edge_tls import free_ports
from tests.unit.infra.test_rendered_configs import load
from tests.unit.infra.waiting import eventually

pytestmark = pytest.mark.app
PASSWORD, TOKEN = "of-the-mail-server", "of-the-webhook"
SECRETS = {"receiver-mail": PASSWORD, "receiver-hook": TOKEN}


class Mailbox:
    """A mail server that lets one user in and keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], str]] = []
        (self.port,) = free_ports(1)
        self.controller = Controller(
            self,
            "127.0.0.1",
            self.port,
            authenticator=self._login,
            auth_require_tls=False,
            auth_exclude_mechanism=["LOGIN"],
        )

    def _login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        wanted = LoginPassword(b"pidea", PASSWORD.encode())
        return AuthResult(success=given == wanted)

    async def handle_DATA(self, _server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if not session.authenticated:
            return "530 who are you?"
        assert isinstance(envelope.content, bytes)
        self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 kept"

    def subjects(self, alert: str) -> list[str]:
        found = [
            line.partition(": ")[2]
            for _, text in self.mails
            for line in text.splitlines()
            if line.startswith("Subject:")
        ]
        return [subject for subject in found if alert in subject]


class Hook(http.server.ThreadingHTTPServer):
    """A web server that keeps what is posted to it, by path."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str, dict[str, Any]]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def told(self, path: str, alert: str) -> list[str]:
        return [body["status"] for at, _, body in self.posts if at == path and named(body) == alert]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.append((self.path, self.headers.get("Authorization", ""), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def named(body: dict[str, Any]) -> str:
    return str(body["commonLabels"].get("alertname", ""))


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    found = Mailbox()
    found.controller.start()
    try:
        yield found
    finally:
        found.controller.stop()


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with Hook() as found:
        yield found
        found.shutdown()


@pytest.fixture(scope="module")
def plan(mailbox: Mailbox, hook: Hook) -> DeploymentPlan:
    mail = {
        "name": "mail",
        "kind": "email",
        "to": ["ops@test.invalid"],
        "sender": "pidea@test.invalid",
        "smarthost": f"localhost:{mailbox.port}",
        "username": "pidea",
        "requireTls": False,
    }
    routing = {
        "replicas": 2,
        "receivers": [
            mail,
            {"name": "hook", "kind": "webhook", "url": f"{hook.url}/pages", "hasToken": True},
            {"name": "quiet", "kind": "webhook", "url": f"{hook.url}/warnings"},
            {"name": "alive", "kind": "webhook", "url": f"{hook.url}/alive"},
        ],
        "critical": ["mail", "hook"],
        "warning": ["quiet"],
        "heartbeat": "alive",
        "runbooksUrl": "https://git.test.invalid/pidea",
    }
    return build_plan(StackSettings.from_config({**read_config("prod"), "pidea:alertmanager": routing}))


@pytest.fixture(scope="module")
def members(plan: DeploymentPlan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    with running(plan, tmp_path_factory.mktemp("delivery"), SECRETS) as started:
        eventually(lambda: all(member.peers() == 2 for member in started))
        fire(started, "PideaHeartbeat", severity="warning", service="heartbeat")
        yield started


def fire(members: list[Member], name: str, *, over: bool = False, **labels: str) -> None:
    """What every Prometheus tells every Alertmanager."""
    now = datetime.datetime.now(datetime.UTC)
    alert = {
        "labels": {"alertname": name, "owner": "platform", **labels},
        "annotations": {"summary": "Users notice it.", "runbook": f"docs/runbooks/{name}.md"},
        "startsAt": (now - datetime.timedelta(minutes=1)).isoformat(),
        "endsAt": (now if over else now + datetime.timedelta(minutes=10)).isoformat(),
    }
    for member in members:
        if member.process.poll() is None:
            requests.post(f"{member.url}/api/v2/alerts", json=[alert], timeout=10).raise_for_status()


def test_a_page_is_told_once_by_two_with_its_secrets_and_its_runbook(
    members: list[Member], mailbox: Mailbox, hook: Hook
) -> None:
    began = time.monotonic()
    fire(members, "PideaPostgresDown", severity="critical", service="postgres")
    eventually(lambda: bool(mailbox.subjects("PideaPostgresDown") and hook.told("/pages", "PideaPostgresDown")))
    assert time.monotonic() - began < 30, "of the 90 s from fault to page"
    assert hook.told("/warnings", "PideaPostgresDown") == []
    (authorization,) = {given for at, given, _ in hook.posts if at == "/pages"}
    assert authorization == f"Bearer {TOKEN}"
    ((receivers, text),) = mailbox.mails
    assert receivers == ["ops@test.invalid"]
    assert "https://git.test.invalid/pidea/docs/runbooks/PideaPostgresDown.md" in text.replace("=\r\n", "")


def test_a_warning_goes_to_those_who_are_told_of_warnings_and_not_while_it_is_silenced_or_explained(
    members: list[Member], hook: Hook
) -> None:
    made = silences.add(members[0].call, ["alertname=PideaRedisDown"], datetime.timedelta(hours=1), "a test")
    eventually(lambda: [one.id for one in silences.of(members[1].call)] == [made])
    fire(members, "PideaNodeDown", severity="critical", service="node")
    fire(members, "PideaMembersMissing", severity="warning", service="redis")
    fire(members, "PideaCacheHitRateLow", severity="warning", service="app")
    fire(members, "PideaRedisDown", severity="warning", service="redis")
    eventually(lambda: hook.told("/warnings", "PideaCacheHitRateLow") == ["firing"])
    eventually(lambda: hook.told("/pages", "PideaNodeDown") == ["firing"])
    time.sleep(5)
    # What the lost node explains, and what somebody silenced.
    assert hook.told("/warnings", "PideaMembersMissing") == []
    assert hook.told("/warnings", "PideaRedisDown") == []
    assert hook.told("/pages", "PideaCacheHitRateLow") == []
    (silence,) = silences.of(members[0].call)
    assert (silence.matchers, silence.comment, silence.state) == ("alertname=PideaRedisDown", "a test", "active")
    assert silences.expire(members[1].call, made[:8]).id == made
    eventually(lambda: silences.of(members[0].call) == [])
    assert [one.state for one in silences.of(members[0].call, expired=True)] == ["expired"]
    with pytest.raises(UsageError, match="0 silences begin with"):
        silences.expire(members[0].call, made[:8])


def test_after_the_loss_of_one_the_other_tells_the_end_of_what_was_told_and_what_is_new(
    members: list[Member], mailbox: Mailbox, hook: Hook
) -> None:
    members[0].process.kill()
    members[0].process.wait(10)
    fire(members, "PideaEdgeAbsent", severity="critical", service="edge")
    fire(members, "PideaPostgresDown", over=True, severity="critical", service="postgres")
    eventually(lambda: hook.told("/pages", "PideaEdgeAbsent") == ["firing"])
    # Had the other member, which waits 15 s for the first, told the page too, it would be here twice.
    eventually(lambda: hook.told("/pages", "PideaPostgresDown") == ["firing", "resolved"], timeout_seconds=120)
    eventually(lambda: len(mailbox.subjects("PideaPostgresDown")) == 2)
    assert mailbox.subjects("PideaPostgresDown")[-1] == "[RESOLVED] PideaPostgresDown (postgres)"


def test_the_heartbeat_is_told_again_and_again_and_to_nobody_else(members: list[Member], hook: Hook) -> None:
    assert members[1].process.poll() is None
    eventually(lambda: len(hook.told("/alive", "PideaHeartbeat")) > 1, timeout_seconds=90)
    assert hook.told("/warnings", "PideaHeartbeat") == []


def test_inhibition_names_alerts_that_there_are(plan: DeploymentPlan) -> None:
    config = load(plan, "alertmanager-yml")
    matchers = [m for rule in config["inhibit_rules"] for m in (*rule["source_matchers"], *rule["target_matchers"])]
    listed = [m.partition('"')[2].rstrip('"') for m in matchers if m.startswith("alertname")]
    known = {alert.name for alert in alerts()}
    used = {name for text in listed for name in text.split("|")}
    assert {name for name in used if not name.endswith(".*")} <= known
    assert "PideaNodeDown" in used


def test_no_secret_is_in_the_configuration(plan: DeploymentPlan, tmp_path: Path) -> None:
    text = json.dumps(load(plan, "alertmanager-yml"))
    assert "/run/secrets/receiver-mail" in text
    assert not [secret for secret in SECRETS.values() if secret in text]
