"""The controller's settings, from its environment. Passwords come from files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal


class SettingsError(Exception):
    """Raised with one line that says which variable is wrong and what it must be."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Login:
    """A user of a server. Empty: none is needed. The password does not show in `repr`."""

    username: str = ""
    password: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """`servers` and `sentinels` are all there are, as `host:port`.

    `service` is what the sentinels call the primary, `sentinel_login` is the controller's at the sentinels, and
    `watch_login` what a sentinel needs at the servers, for one that is told to watch another. A repair is made after
    the same was seen in `looks` looks in a row and for `patience_seconds`, so that Sentinel has had its time: a
    promotion for `promote_patience_seconds`. The same repair is not repeated within `cooldown_seconds`.
    """

    mode: Literal["repair", "dry-run"]
    servers: tuple[str, ...]
    sentinels: tuple[str, ...]
    service: str
    server_login: Login
    sentinel_login: Login
    watch_login: Login
    down_after_milliseconds: int
    failover_timeout_milliseconds: int
    interval_seconds: float
    patience_seconds: float
    promote_patience_seconds: float
    cooldown_seconds: float
    looks: int
    answer_seconds: float
    port: int

    @property
    def quorum(self) -> int:
        """How many sentinels must hold the primary for down before one of them acts: the majority."""
        return len(self.sentinels) // 2 + 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises SettingsError for what is missing or makes no sense."""
        mode = _text(environment, "MODE")
        if mode not in ("repair", "dry-run"):
            raise SettingsError(f"MODE must be repair or dry-run, is {mode!r}")
        failover_timeout = int(_number(environment, "FAILOVER_TIMEOUT_MILLISECONDS", "5000"))
        promote_patience = _number(environment, "PROMOTE_PATIENCE_SECONDS", "20")
        if promote_patience * 1000 <= failover_timeout:
            raise SettingsError("PROMOTE_PATIENCE_SECONDS must be longer than FAILOVER_TIMEOUT_MILLISECONDS")
        return cls(
            mode="repair" if mode == "repair" else "dry-run",
            servers=_addresses(environment, "REDIS_SERVERS"),
            sentinels=_addresses(environment, "REDIS_SENTINELS"),
            service=_text(environment, "REDIS_SENTINEL_SERVICE"),
            server_login=_login(environment, "REDIS"),
            sentinel_login=_login(environment, "SENTINEL"),
            watch_login=_login(environment, "WATCH"),
            down_after_milliseconds=int(_number(environment, "DOWN_AFTER_MILLISECONDS", "1500")),
            failover_timeout_milliseconds=failover_timeout,
            interval_seconds=_number(environment, "INTERVAL_SECONDS", "5"),
            patience_seconds=_number(environment, "PATIENCE_SECONDS", "10"),
            promote_patience_seconds=promote_patience,
            cooldown_seconds=_number(environment, "COOLDOWN_SECONDS", "60"),
            looks=int(_number(environment, "LOOKS", "3")),
            answer_seconds=_number(environment, "ANSWER_SECONDS", "2"),
            port=int(_number(environment, "PORT", "9200")),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise SettingsError(f"{name} must be set")
    return environment[name]


def _number(environment: Mapping[str, str], name: str, default: str) -> float:
    text = environment.get(name, default)
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise SettingsError(f"{name} must be a number above 0, is {text!r}")
    return number


def _addresses(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = tuple(_text(environment, name).split(","))
    for address in found:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise SettingsError(f"{name} must be host:port,host:port,…, and {address!r} is not one")
    if len(set(found)) != len(found):
        raise SettingsError(f"{name} names an address twice")
    return found


def _login(environment: Mapping[str, str], prefix: str) -> Login:
    path = environment.get(f"{prefix}_PASSWORD_FILE")
    if not path:
        return Login()
    try:
        password = Path(path).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{prefix}_PASSWORD_FILE cannot be read: {error}") from error
    return Login(username=environment.get(f"{prefix}_USERNAME", ""), password=password)
