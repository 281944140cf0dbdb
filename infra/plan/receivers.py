"""Receivers as Alertmanager's configuration has them. Secrets are named as files, never written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra import names
from infra.routing import AlertmanagerSettings, EmailReceiver, PagerDutyReceiver, Receiver, SlackReceiver

OPERATORS: Final = "operators"
WARNINGS: Final = "warnings"
HEARTBEAT: Final = "heartbeat"

_TITLE = "[{{ .Status | toUpper }}] {{ .CommonLabels.alertname }} ({{ .CommonLabels.service }})"
_SUMMARIES = "{{ range .Alerts }}{{ .Annotations.summary }} %s\n{{ end }}"


def configuration(settings: AlertmanagerSettings) -> Sequence[Mapping[str, Any]]:
    """The receivers that the routes name, each with everybody who is to be told."""
    heartbeats = () if settings.heartbeat is None else (settings.heartbeat,)
    told = {OPERATORS: settings.critical, WARNINGS: settings.warning, HEARTBEAT: heartbeats}
    return [_receiver(name, members, settings, resolved=name != HEARTBEAT) for name, members in told.items()]


def _receiver(
    name: str, members: Sequence[str], settings: AlertmanagerSettings, *, resolved: bool
) -> Mapping[str, Any]:
    found: dict[str, Any] = {"name": name}
    for member in members:
        receiver = settings.receiver(member)
        for one in _configs(receiver, _runbook(settings)):
            found.setdefault(f"{receiver.kind}_configs", []).append({"send_resolved": resolved, **one})
    return found


def _runbook(settings: AlertmanagerSettings) -> str:
    base = settings.runbooks_url.rstrip("/") + "/" if settings.runbooks_url else ""
    return f"{base}{{{{ .Annotations.runbook }}}}"


def _configs(receiver: Receiver, runbook: str) -> Sequence[Mapping[str, Any]]:
    file = names.secret_path(receiver.secret)
    summaries = _SUMMARIES % runbook
    if isinstance(receiver, EmailReceiver):
        login = {"auth_username": receiver.username, "auth_password_file": file} if receiver.needs_secret else {}
        mail = {
            "from": receiver.sender,
            "smarthost": receiver.smarthost,
            "require_tls": receiver.require_tls,
            "headers": {"subject": _TITLE},
            "text": summaries,
            "html": "",
        }
        return [{"to": address, **mail, **login} for address in receiver.to]
    if isinstance(receiver, SlackReceiver):
        return [{"api_url_file": file, "channel": receiver.channel, "title": _TITLE, "text": summaries}]
    if isinstance(receiver, PagerDutyReceiver):
        return [{"routing_key_file": file, "description": _TITLE, "details": {"summaries": summaries}}]
    token = {"http_config": {"authorization": {"credentials_file": file}}} if receiver.needs_secret else {}
    return [{"url": receiver.url, **token}]
