"""Settings from environment variables; passwords only from files that a variable names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from app.errors import SettingsError
from app.experience.experiments import Experiment
from app.web.clients import Clients, read_clients

MIB = 1024 * 1024
HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
ADDRESS = re.compile(rf"({HOST.pattern}):(\d{{1,5}})")
SECRETS = ("DATABASE_PASSWORD", "REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD")
# Not asked of a developer who runs the service without servers.
NEEDED_WITH_SERVERS = (
    "database_host",
    "database_name",
    "database_user",
    "database_password",
    "redis_password",
)


def _plain_http(url: str) -> str:
    if not re.match(r"http://[^/]", url):
        raise ValueError("must start with http:// and a host (traffic stays on the internal network)")
    return url.rstrip("/")


def _by_comma(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _host_and_port(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not (HOST.fullmatch(host) and colon and port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError("must be HOST:PORT addresses, separated by commas")
    return address


def _host(address: str) -> str:
    own = ADDRESS.fullmatch(address)
    if not HOST.fullmatch(address) and not (own and 1 <= int(own[2]) <= 65535):
        raise ValueError("must be a host, or several separated by commas, each with a port of its own or without one")
    return address


def _origin(origin: str) -> str:
    scheme, separator, host = origin.partition("://")
    if scheme not in ("http", "https") or not separator or not host or "/" in host or "*" in host:
        raise ValueError("must be origins like https://pidea.example, separated by commas; a wildcard is not allowed")
    return origin


Port = Annotated[int, Field(ge=1, le=65535)]
HttpUrl = Annotated[str, AfterValidator(_plain_http)]
HttpUrls = Annotated[tuple[HttpUrl, ...], BeforeValidator(_by_comma)]
Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]
Addresses = Annotated[tuple[Annotated[str, AfterValidator(_host_and_port)], ...], BeforeValidator(_by_comma)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_by_comma), Field(min_length=1)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_by_comma)]


class Settings(BaseModel):
    """One field per variable: `database_host` is DATABASE_HOST. An empty variable counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    # The process
    listen_address: str = "0.0.0.0"
    port: Port = 8080
    workers: int = Field(default=1, ge=1, le=32)
    environment: Name = "development"
    version: str = "0.0.0"
    revision: str = "unknown"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    drain_seconds: float = Field(default=5.0, ge=0, le=300)
    # Where SQLite keeps everything instead of PostgreSQL and Redis; set by `--embedded`.
    embedded_folder: Path | None = None

    # Who may ask, and how much
    clients: Clients
    cors_allowed_origins: Origins = ()
    # Of one client, in each replica; 0: no limit. A client may save up twice as many requests for a burst.
    rate_limit_per_second: float = Field(default=200.0, ge=0)
    # Requests beyond this many at once are told to come back later.
    max_requests_in_flight: int = Field(default=256, ge=1)
    # Of a request that does not ask for less.
    request_timeout_seconds: float = Field(default=10.0, gt=0, le=120)
    idempotency_key_ttl_seconds: int = Field(default=24 * 3600, ge=1)

    # PostgreSQL
    # Several where one of them takes writes and the others follow it. Each may have a port of its own: HOST:PORT.
    database_host: Hosts = ()
    database_port: Port = 5432
    database_name: str = ""
    database_user: str = ""
    database_password: SecretStr = SecretStr("")
    database_pool_size: int = Field(default=10, ge=1, le=200)
    # Calls that may wait for a connection before the next ones are refused.
    database_max_waiting: int = Field(default=200, ge=0)
    database_startup_seconds: float = Field(default=60.0, ge=0)
    # None: as any other's. Short where another server takes over from one that is gone.
    database_breaker_open_seconds: Positive | None = None

    # Redis: one address, or the sentinels that know it
    redis_host: str = ""
    redis_port: Port = 6379
    redis_sentinels: Addresses = ()
    redis_sentinel_service: Name = "pidea"
    # Empty: the sentinels' default user.
    redis_sentinel_username: str = ""
    redis_sentinel_password: SecretStr = SecretStr("")
    redis_username: Name = "default"
    redis_password: SecretStr = SecretStr("")
    # What one request may wait for Redis, all its calls together.
    redis_timeout_seconds: float = Field(default=0.1, gt=0, le=5)

    # The cache
    cache_namespace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] = "pidea"
    l1_ttl_milliseconds: int = Field(default=100, ge=0, le=60_000)
    # While invalidation messages are heard. They end an entry at once; this bounds what a lost one costs.
    l1_listening_ttl_milliseconds: int = Field(default=60_000, ge=0, le=60_000)
    l1_max_bytes: int = Field(default=64 * MIB, ge=0)
    l2_ttl_seconds: int = Field(default=300, ge=1)
    # Of the stand-in for Redis in embedded mode; Redis itself has `maxmemory`.
    l2_max_bytes: int = Field(default=64 * MIB, ge=0)
    l3_ttl_seconds: int = Field(default=3600, ge=1)
    l3_max_bytes: int = Field(default=256 * MIB, ge=MIB)
    # Without a folder there is no L3.
    l3_folder: Path | None = None
    negative_ttl_seconds: int = Field(default=10, ge=1)
    max_entry_bytes: int = Field(default=MIB, ge=1024)
    # Below it, packing and unpacking take longer than a local network does.
    compress_above_bytes: int = Field(default=64 * 1024, ge=64)

    # Protection
    dedup_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    dedup_max_entries: int = Field(default=1000, ge=1)
    breaker_failure_threshold: int = Field(default=5, ge=1)
    breaker_open_seconds: Positive = 60.0
    # Retries may make up this part of all calls, so that they cannot multiply an overload.
    retry_budget_ratio: float = Field(default=0.1, ge=0, le=1)

    # What is measured
    telemetry_enabled: bool = True
    otel_exporter_otlp_endpoint: HttpUrl | None = None
    trace_sampling_ratio: float = Field(default=0.1, ge=0, le=1)
    trace_max_per_second: Positive = 50.0
    # Several where each is a replica: one that answers is enough.
    prometheus_url: HttpUrls = ()
    jaeger_health_url: HttpUrl | None = None
    dependency_check_seconds: Positive = 2.0
    observability_check_seconds: Positive = 10.0
    apdex_threshold_seconds: Positive = 0.1
    availability_objective: float = Field(default=0.999, gt=0, lt=1)
    experiment: Experiment = Field(default_factory=Experiment)

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.embedded_folder is None and not (self.redis_host or self.redis_sentinels):
            raise ValueError("REDIS_HOST or REDIS_SENTINELS: one of them must be set")
        if self.redis_host and self.redis_sentinels:
            raise ValueError("REDIS_HOST, REDIS_SENTINELS: only one of them may be set")
        return self

    @property
    def database_servers(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each server."""
        found = ((host, ADDRESS.fullmatch(host)) for host in self.database_host)
        return tuple((own[1], int(own[2])) if own else (host, self.database_port) for host, own in found)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], embedded_folder: Path | None = None) -> Settings:
        """Read every setting or raise SettingsError naming all that are wrong, never their secret values."""
        values: dict[str, object] = {}
        problems: list[str] = []
        if embedded_folder is not None:
            values["embedded_folder"] = embedded_folder
        for field in cls.model_fields:
            variable = field.upper()
            needed = embedded_folder is None and field in NEEDED_WITH_SERVERS
            try:
                if variable in SECRETS:
                    values[field] = _read_secret(environment, variable, needed=needed)
                elif field == "clients":
                    values[field] = read_clients(environment, embedded_folder)
                elif field != "embedded_folder" and environment.get(variable):
                    values[field] = environment[variable]
                elif needed:
                    problems.append(f"{variable}: must be set")
            except SettingsError as error:
                problems.extend(error.problems)
                # Something to go on with, to find all that is wrong in one go.
                values[field] = Clients({}) if field == "clients" else ""
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            problems.extend(_describe(error))
        if problems:
            raise SettingsError(problems)
        return settings


def _read_secret(environment: Mapping[str, str], variable: str, *, needed: bool) -> str:
    file_variable = f"{variable}_FILE"
    if environment.get(variable):
        raise SettingsError([f"{variable}: must not be in the environment, name its file in {file_variable}"])
    path = environment.get(file_variable)
    if not path:
        if not needed:
            return ""
        raise SettingsError([f"{file_variable}: must be the path of the password's file, is not set"])
    try:
        secret = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError([f"{file_variable}: cannot read {path}: {reason}"]) from error
    if not secret:
        raise SettingsError([f"{file_variable}: {path} is empty, it must hold the password"])
    return secret


def _describe(error: ValidationError) -> list[str]:
    problems = []
    for item in error.errors(include_url=False):
        if not item["loc"]:
            problems.append(item["msg"].removeprefix("Value error, "))
        elif item["type"] == "missing":
            problems.append(f"{str(item['loc'][0]).upper()}: must be set")
        else:
            problems.append(f"{str(item['loc'][0]).upper()}: {item['msg']}, is {item['input']!r}")
    return problems
