"""The service's settings, from its environment. Passwords come from files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from infra.schedule import Schedule, ScheduleError
from ops.backup.location import Location


class SettingsError(Exception):
    """Raised with one line that says which variable is wrong and what it must be."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retention:
    """How many bases stay: the newest of each of so many days, weeks and months."""

    daily: int
    weekly: int
    monthly: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """`data` holds a local repository, the WAL that arrives, and what a restore unpacks; `memory` is for secrets. All
    that is to be kept in `repository` is copied to `offsite` too, where there is one.

    `postgres_hosts` and `redis_hosts` are all servers of each, whoever is the primary. WAL goes to the repository at
    most `wal_seconds` after it was written. `upload_kib_per_second` 0 means no limit.
    """

    instance: str
    data: Path
    memory: Path
    repository: Location
    offsite: Location | None
    repository_password_file: Path
    postgres_hosts: tuple[str, ...]
    postgres_port: int
    postgres_database: str
    postgres_user: str
    postgres_password_file: Path
    redis_hosts: tuple[str, ...]
    redis_port: int
    redis_user: str
    redis_password_file: Path
    alertmanager_urls: tuple[str, ...]
    schedule: Schedule
    offsite_schedule: Schedule
    check_schedule: Schedule
    drill_schedule: Schedule
    jitter_seconds: float
    wal_seconds: float
    retention: Retention
    upload_kib_per_second: int
    port: int

    @property
    def wal(self) -> Path:
        """Where WAL arrives."""
        return self.data / "wal"

    @property
    def scratch(self) -> Path:
        """Where a restore or a drill unpacks; nothing in it is needed afterwards."""
        return self.data / "scratch"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises SettingsError for what is missing or makes no sense."""
        return cls(
            instance=_text(environment, "INSTANCE"),
            data=Path(environment.get("DATA", "/data")),
            memory=Path(environment.get("MEMORY", "/run/pidea")),
            repository=_location(environment, "REPOSITORY"),
            offsite=_location(environment, "OFFSITE") if environment.get("OFFSITE") else None,
            repository_password_file=Path(_text(environment, "REPOSITORY_PASSWORD_FILE")),
            postgres_hosts=tuple(_text(environment, "POSTGRES_HOSTS").split(",")),
            postgres_port=int(_number(environment, "POSTGRES_PORT", "5432")),
            postgres_database=_text(environment, "POSTGRES_DATABASE"),
            postgres_user=_text(environment, "POSTGRES_USER"),
            postgres_password_file=Path(_text(environment, "POSTGRES_PASSWORD_FILE")),
            redis_hosts=tuple(_text(environment, "REDIS_HOSTS").split(",")),
            redis_port=int(_number(environment, "REDIS_PORT", "6379")),
            redis_user=_text(environment, "REDIS_USER"),
            redis_password_file=Path(_text(environment, "REDIS_PASSWORD_FILE")),
            alertmanager_urls=tuple(url for url in environment.get("ALERTMANAGER_URLS", "").split(",") if url),
            schedule=_schedule(environment, "SCHEDULE"),
            offsite_schedule=_schedule(environment, "OFFSITE_SCHEDULE"),
            check_schedule=_schedule(environment, "CHECK_SCHEDULE"),
            drill_schedule=_schedule(environment, "DRILL_SCHEDULE"),
            jitter_seconds=_number(environment, "JITTER_SECONDS", "60", least=0),
            wal_seconds=_number(environment, "WAL_SECONDS", "30"),
            retention=Retention(
                daily=int(_number(environment, "KEEP_DAILY", "7")),
                weekly=int(_number(environment, "KEEP_WEEKLY", "4", least=0)),
                monthly=int(_number(environment, "KEEP_MONTHLY", "3", least=0)),
            ),
            upload_kib_per_second=int(_number(environment, "UPLOAD_KIB_PER_SECOND", "0", least=0)),
            port=int(_number(environment, "PORT", "9201")),
        )


def _location(environment: Mapping[str, str], name: str) -> Location:
    def file(suffix: str) -> Path | None:
        return Path(environment[f"{name}_{suffix}"]) if environment.get(f"{name}_{suffix}") else None

    return Location(
        url=_text(environment, name),
        username=environment.get(f"{name}_USERNAME", ""),
        login_file=file("LOGIN_FILE"),
        region=environment.get(f"{name}_REGION", ""),
        trust_file=file("TRUST_FILE"),
        append_only=environment.get(f"{name}_APPEND_ONLY") == "true",
    )


def _text(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise SettingsError(f"{name} must be set")
    return environment[name]


def _number(environment: Mapping[str, str], name: str, default: str, *, least: float = 1e-9) -> float:
    text = environment.get(name, default)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number < 1e9:
        raise SettingsError(f"{name} must be a number of at least {least:g}, is {text!r}")
    return number


def _schedule(environment: Mapping[str, str], name: str) -> Schedule:
    try:
        return Schedule.parse(_text(environment, name))
    except ScheduleError as error:
        raise SettingsError(f"{name} {error}") from error
