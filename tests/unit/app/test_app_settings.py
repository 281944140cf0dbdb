"""Settings of the backend: every mistake is named, no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The least that a backend needs."""
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "clients").write_text(f"ide {'0' * 64}\n")
    return {
        "DATABASE_HOST": "postgres",
        "DATABASE_NAME": "pidea",
        "DATABASE_USER": "app",
        "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        "API_CLIENTS_FILE": str(tmp_path / "clients"),
        "REDIS_HOST": "redis",
        "REDIS_PASSWORD_FILE": str(tmp_path / "password"),
    }


def problems(environment: dict[str, str]) -> tuple[str, ...]:
    """What is wrong with an environment that must be wrong."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    return caught.value.problems


def test_defaults_and_secrets(environment: dict[str, str]) -> None:
    settings = Settings.from_environment({**environment, "LOG_LEVEL": "", "PATH": "/bin"})
    assert (settings.port, settings.drain_seconds, settings.log_level) == (8080, 5.0, "INFO")
    assert (settings.l2_ttl_seconds, settings.redis_timeout_seconds) == (300, 0.1)
    assert (settings.breaker_failure_threshold, settings.breaker_open_seconds) == (5, 60.0)
    assert settings.database_password.get_secret_value() == "s3cret"
    assert settings.otel_exporter_otlp_endpoint is None
    assert "s3cret" not in repr(settings)


def test_values_are_read(environment: dict[str, str]) -> None:
    settings = Settings.from_environment(
        {**environment, "PORT": "9000", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4318/", "DRAIN_SECONDS": "0.5"}
    )
    assert (settings.port, settings.drain_seconds) == (9000, 0.5)
    assert settings.otel_exporter_otlp_endpoint == "http://jaeger:4318"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "0", "PORT: Input should be greater than or equal to 1, is '0'"),
        ("PORT", "http", "PORT: Input should be a valid integer"),
        ("TRACE_SAMPLING_RATIO", "1.5", "TRACE_SAMPLING_RATIO: Input should be less than or equal to 1"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR', is 'LOUD'"),
        ("PROMETHEUS_URL", "prometheus:9090", "PROMETHEUS_URL: Value error, must start with http://"),
        ("DATABASE_HOST", "", "DATABASE_HOST: must be set"),
        ("DATABASE_PASSWORD", "x", "DATABASE_PASSWORD: must not be in the environment, name its file in"),
        ("REDIS_PASSWORD_FILE", "", "REDIS_PASSWORD_FILE: must be the path of the password's file, is not set"),
        ("REDIS_PASSWORD_FILE", "/nowhere", "REDIS_PASSWORD_FILE: cannot read /nowhere: No such file"),
    ],
)
def test_one_mistake_is_one_sentence(environment: dict[str, str], variable: str, value: str, expected: str) -> None:
    found = problems({**environment, variable: value})
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_all_mistakes_at_once(environment: dict[str, str]) -> None:
    del environment["DATABASE_NAME"], environment["REDIS_PASSWORD_FILE"]
    named = [problem.partition(":")[0] for problem in problems({**environment, "PORT": "x"})]
    assert sorted(named) == ["DATABASE_NAME", "PORT", "REDIS_PASSWORD_FILE"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00"])
def test_unusable_secret_files(environment: dict[str, str], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    (problem,) = problems({**environment, "DATABASE_PASSWORD_FILE": str(tmp_path / "bad")})
    assert problem.startswith("DATABASE_PASSWORD_FILE: ")
