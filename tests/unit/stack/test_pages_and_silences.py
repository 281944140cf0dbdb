"""What holds a deployment because nobody would be told, and how silences are asked for."""

from __future__ import annotations

import datetime
import io
import urllib.error
from email.message import Message
from typing import Any

import pytest

from infra.plan import build_plan
from infra.settings import StackSettings
from ops.errors import UsageError
from ops.stack import pages, silences
from ops.stack.silences import SilenceError
from ops.stack.state import State
from tests.unit.infra.conftest import read_config

CALL = {"name": "on-call", "kind": "pagerduty"}


class Configured:
    """Pulumi as far as it is asked: the configuration's file, and the secret settings in it."""

    class stack:  # noqa: N801 - as the attribute is called
        name = "prod"
        config_name = "Pulumi.prod.yaml"

    def __init__(self, **secrets: str) -> None:
        self.secrets = {f"pidea:{name.replace('_', '-')}": secret for name, secret in secrets.items()}

    def secret_setting(self, key: str, state: State) -> str | None:
        return self.secrets.get(key)


def ensure(routing: dict[str, Any] | None, **secrets: str) -> None:
    config = read_config("prod")
    if routing is not None:
        config["pidea:alertmanager"] = routing
    plan = build_plan(StackSettings.from_config(config))
    pages.ensure(Configured(**secrets), None, plan)  # type: ignore[arg-type]


def test_the_repositorys_own_receiver_is_refused() -> None:
    with pytest.raises(UsageError, match=r"made-up addresses \(example\.com\).*alert-receivers\.md"):
        ensure(None)


@pytest.mark.parametrize("secrets", [{}, {"receiver_on_call": "\n"}])
def test_a_receiver_without_its_secret_is_refused_with_the_command_that_sets_it(secrets: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="pulumi config set --secret pidea:receiver-on-call --stack prod < FILE"):
        ensure({"receivers": [CALL], "critical": ["on-call"]}, **secrets)


def test_who_can_be_told_holds_nothing() -> None:
    ensure({"receivers": [CALL], "critical": ["on-call"]}, receiver_on_call="key")
    ensure({})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30m", {"minutes": 30}), ("2h", {"hours": 2}), ("30d", {"days": 30})],
)
def test_a_duration_is_read(text: str, expected: dict[str, int]) -> None:
    assert silences.duration(text) == datetime.timedelta(**expected)


@pytest.mark.parametrize("text", ["", "2", "h", "0h", "-1h", "1.5h", "1w", "31d", "2h "])
def test_what_is_no_duration_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        silences.duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alertname=PideaRedisDown", ("alertname", "PideaRedisDown", False, True)),
        ('service=~"redis|app"', ("service", "redis|app", True, True)),
        ("severity!=critical", ("severity", "critical", False, False)),
        ("service !~ a.*", ("service", "a.*", True, False)),
    ],
)
def test_a_matcher_is_read(text: str, expected: tuple[str, str, bool, bool]) -> None:
    sent: list[Any] = []

    def call(method: str, path: str, body: Any) -> Any:
        sent.append((method, path, body))
        return {"silenceID": "1"}

    assert silences.add(call, [text], datetime.timedelta(hours=1), "why") == "1"
    ((method, path, body),) = sent
    assert (method, path) == ("POST", "alertmanager/api/v2/silences")
    (matcher,) = body["matchers"]
    assert (matcher["name"], matcher["value"], matcher["isRegex"], matcher["isEqual"]) == expected
    lasts = datetime.datetime.fromisoformat(body["endsAt"]) - datetime.datetime.fromisoformat(body["startsAt"])
    assert (lasts, body["comment"]) == (datetime.timedelta(hours=1), "why")


@pytest.mark.parametrize("text", ["PideaRedisDown", "=x", "a b=c", "service=~(", "1a=b"])
def test_what_picks_no_alerts_is_refused_before_anything_is_asked(text: str) -> None:
    def call(method: str, path: str, body: Any) -> Any:
        raise AssertionError("asked")

    with pytest.raises(UsageError):
        silences.add(call, [text], datetime.timedelta(hours=1), "why")


def test_what_alertmanager_says_is_what_is_said() -> None:
    def refuses(method: str, path: str, body: Any) -> Any:
        raise urllib.error.HTTPError("http://x", 400, "Bad Request", Message(), io.BytesIO(b'"no such label"'))

    def silent(method: str, path: str, body: Any) -> Any:
        raise ConnectionRefusedError("refused")

    with pytest.raises(SilenceError, match='refuses: "no such label"'):
        silences.of(refuses)
    with pytest.raises(SilenceError, match="cannot be asked: refused"):
        silences.of(silent)


def silence(comment: str, ends_at: datetime.datetime) -> dict[str, Any]:
    """As Alertmanager gives it."""
    return {
        "id": comment,
        "status": {"state": "active"},
        "matchers": [{"name": "alertname", "value": comment, "isRegex": False, "isEqual": True}],
        "startsAt": "2026-11-01T00:00:00.000Z",
        "endsAt": ends_at.isoformat(timespec="milliseconds"),
        "createdBy": "somebody",
        "comment": comment,
        "updatedAt": "2026-11-01T00:00:00.000Z",
    }


def test_of_kept_silences_only_those_that_still_hold_and_are_missing_come_back() -> None:
    later = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(hours=1)
    there, missing = silence("there", later), silence("missing", later)
    over = silence("over", later - datetime.timedelta(hours=2))
    sent: list[dict[str, Any]] = []

    def call(method: str, _path: str, body: Any) -> Any:
        if method == "GET":
            return [there]
        sent.append(body)
        return {"silenceID": "new"}

    assert silences.bring_back(call, [there, missing, over]) == 1
    (body,) = sent
    assert body == {key: missing[key] for key in ("matchers", "startsAt", "endsAt", "createdBy", "comment")}
