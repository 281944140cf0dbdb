"""Settings of who is told of an alert, and how. What is secret of a receiver is a secret setting of its own."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from infra import names
from infra.section import Section

# A secret is named after it, and Docker limits that to 64 characters: an instance's 24, a digest's 12.
ReceiverName = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=16)]
Url = Annotated[str, pydantic.Field(pattern=r"^https?://[^\s/?#@]+(/\S*)?$")]
EmailAddress = Annotated[str, pydantic.Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")]
HostAndPort = Annotated[str, pydantic.Field(pattern=r"^[\w.-]+:\d{1,5}$")]


class _Receiver(Section):
    name: ReceiverName

    @property
    def needs_secret(self) -> bool:
        """Whether it cannot be told without the secret setting of its name."""
        return False

    @property
    def secret(self) -> str:
        """The logical name of its secret, which is that of the secret setting too."""
        return f"{names.RECEIVER_PREFIX}{self.name}"


class WebhookReceiver(_Receiver):
    """Gets Alertmanager's JSON by POST. With `has_token` the secret is sent as a bearer token."""

    kind: Literal["webhook"]
    url: Url
    has_token: bool = False

    @property
    def needs_secret(self) -> bool:
        return self.has_token


class SlackReceiver(_Receiver):
    """A channel. The secret is the address of Slack's incoming webhook."""

    kind: Literal["slack"]
    channel: Annotated[str, pydantic.Field(pattern=r"^[#@]\S+$")]

    @property
    def needs_secret(self) -> bool:
        return True


class EmailReceiver(_Receiver):
    """Mail by way of a server. With `username` the secret is that user's password."""

    kind: Literal["email"]
    to: Annotated[tuple[EmailAddress, ...], pydantic.Field(min_length=1)]
    sender: EmailAddress
    smarthost: HostAndPort
    username: str | None = None
    require_tls: bool = True

    @property
    def needs_secret(self) -> bool:
        return self.username is not None


class PagerDutyReceiver(_Receiver):
    """A service of PagerDuty. The secret is the key of its Events API v2 integration."""

    kind: Literal["pagerduty"]

    @property
    def needs_secret(self) -> bool:
        return True


Receiver = Annotated[
    WebhookReceiver | SlackReceiver | EmailReceiver | PagerDutyReceiver, pydantic.Field(discriminator="kind")
]


class AlertmanagerSettings(Section):
    """Alerts: more than one Alertmanager form a cluster that tells each page once.

    `critical` and `warning` name the receivers that are told of alerts of that severity; what has neither goes to the
    critical ones. `heartbeat` is a webhook that is told every minute that alerts can be told: a dead man's switch that
    raises the alarm when it is not. `runbooks_url` is where the repository can be read, for links in what is told.
    """

    replicas: Annotated[int, pydantic.Field(ge=1, le=5)] = 1
    receivers: tuple[Receiver, ...] = ()
    critical: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()
    heartbeat: str | None = None
    runbooks_url: Url | None = None

    @pydantic.model_validator(mode="after")
    def _receivers_are_known(self) -> Self:
        known = [receiver.name for receiver in self.receivers]
        for name in known:
            if known.count(name) > 1:
                raise ValueError(
                    f"there are {known.count(name)} receivers called {name!r}; each needs a name of its own"
                )
        for key, used in (("critical", self.critical), ("warning", self.warning), ("heartbeat", self._heartbeats)):
            for name in used:
                if name not in known:
                    there = ", ".join(sorted(known)) or "none"
                    raise ValueError(f"{key}: no receiver is called {name!r}; there are {there}")
        for name in known:
            if name not in {*self.critical, *self.warning, *self._heartbeats}:
                raise ValueError(f"nothing is told to receiver {name!r}: name it under critical, warning or heartbeat")
        return self

    @pydantic.model_validator(mode="after")
    def _pages_come_first(self) -> Self:
        if self.warning and not self.critical:
            raise ValueError("warning has receivers and critical has none: what is urgent would be told to nobody")
        for name in self._heartbeats:
            if not isinstance(self.receiver(name), WebhookReceiver):
                raise ValueError(f"heartbeat: {name!r} must be a webhook, nobody reads a mail every minute")
        return self

    @property
    def _heartbeats(self) -> tuple[str, ...]:
        return () if self.heartbeat is None else (self.heartbeat,)

    def receiver(self, name: str) -> Receiver:
        """The receiver of that name."""
        return next(receiver for receiver in self.receivers if receiver.name == name)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret settings that its receivers need."""
        return tuple(receiver.secret for receiver in self.receivers if receiver.needs_secret)
