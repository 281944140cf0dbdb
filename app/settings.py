"""Settings from environment variables; passwords only from files that a variable names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from app.errors import SettingsError

SECRETS = ("DATABASE_PASSWORD", "REDIS_PASSWORD")


def _plain_http(url: str) -> str:
    if not url.startswith("http://"):
        raise ValueError("must start with http:// (traffic stays on the internal network)")
    return url.rstrip("/")


Port = Annotated[int, Field(ge=1, le=65535)]
HttpUrl = Annotated[str, AfterValidator(_plain_http)]
Name = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """One field per variable: `database_host` is DATABASE_HOST. An empty variable counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen_address: str = "0.0.0.0"
    port: Port = 8080
    environment: Name = "development"
    version: str = "0.0.0"
    revision: str = "unknown"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    drain_seconds: float = Field(default=5.0, ge=0, le=300)

    database_host: Name
    database_port: Port = 5432
    database_name: Name
    database_user: Name
    database_password: SecretStr
    database_pool_size: int = Field(default=10, ge=1, le=200)
    database_startup_seconds: float = Field(default=60.0, ge=0)

    redis_host: Name
    redis_port: Port = 6379
    redis_username: Name = "default"
    redis_password: SecretStr
    # What one request may wait for Redis, all its calls together.
    redis_timeout_seconds: float = Field(default=0.1, gt=0, le=5)
    cache_ttl_seconds: int = Field(default=300, ge=1)
    breaker_failure_threshold: int = Field(default=5, ge=1)
    breaker_open_seconds: float = Field(default=60.0, gt=0)

    otel_exporter_otlp_endpoint: HttpUrl | None = None
    trace_sampling_ratio: float = Field(default=0.1, ge=0, le=1)
    prometheus_url: HttpUrl | None = None
    jaeger_health_url: HttpUrl | None = None
    dependency_check_seconds: float = Field(default=2.0, gt=0)
    observability_check_seconds: float = Field(default=10.0, gt=0)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read every setting or raise SettingsError naming all that are wrong, never their secret values."""
        values: dict[str, str] = {}
        problems: list[str] = []
        for field in cls.model_fields:
            variable = field.upper()
            if variable in SECRETS:
                try:
                    values[field] = _read_secret(environment, variable)
                except SettingsError as error:
                    problems.extend(error.problems)
                    values[field] = ""
            elif environment.get(variable):
                values[field] = environment[variable]
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            problems.extend(_describe(error))
        if problems:
            raise SettingsError(problems)
        return settings


def _read_secret(environment: Mapping[str, str], variable: str) -> str:
    file_variable = f"{variable}_FILE"
    if environment.get(variable):
        raise SettingsError([f"{variable}: must not be in the environment, name its file in {file_variable}"])
    path = environment.get(file_variable)
    if not path:
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
    return [
        f"{str(item['loc'][0]).upper()}: must be set"
        if item["type"] == "missing"
        else f"{str(item['loc'][0]).upper()}: {item['msg']}, is {item['input']!r}"
        for item in error.errors(include_url=False)
    ]
