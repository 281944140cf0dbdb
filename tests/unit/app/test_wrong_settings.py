"""A wrong value of any setting stops the start, names its variable, and shows no secret."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

import app
from app.errors import SettingsError
from app.settings import MIB, Settings

SECRET = "hunter2-never-to-be-seen"
NOT_A_PORT = ["0", "-1", "65536", "99999999999999999999", "x", "80.5", "http"]
NOT_A_URL = ["prometheus:9090", "https://prometheus:9090", "ftp://prometheus", "HTTP://prometheus", "/metrics"]
NOT_POSITIVE = ["0", "-1", "-inf", "nan", "x", "1s", "1,5"]
NOT_A_COUNT = ["0", "-1", "1.5", "nan", "inf", "x", "1e3"]
NOT_A_COUNT_FROM_0 = ["-1", "1.5", "nan", "x"]
NOT_A_RATIO = ["-0.1", "1.1", "nan", "inf", "10%", "x"]

# An empty variable counts as absent, so it is never wrong here.
WRONG: dict[str, list[str]] = {
    "PORT": NOT_A_PORT,
    "WORKERS": [*NOT_A_COUNT, "33"],
    "LOG_LEVEL": ["info", "LOUD", "20"],
    "DRAIN_SECONDS": ["-0.1", "300.1", "nan", "inf", "5s"],
    "CORS_ALLOWED_ORIGINS": [
        *("*", "https://*.pidea.example", "pidea.example", "ftp://pidea.example", "https://", "https://pidea.example/"),
        *("https://pidea.example/ide", "null", "https://pidea.example,*"),
    ],
    "RATE_LIMIT_PER_SECOND": ["-1", "nan", "x"],
    "MAX_REQUESTS_IN_FLIGHT": NOT_A_COUNT,
    "REQUEST_TIMEOUT_SECONDS": [*NOT_POSITIVE, "120.1", "inf"],
    "IDEMPOTENCY_KEY_TTL_SECONDS": NOT_A_COUNT,
    "DATABASE_HOST": [
        ",",
        "a b",
        "postgres://one",
        "one:0",
        "one:65536",
        "one:x",
        "one:",
        "one,t wo",
        "/run/postgresql",
    ],
    "DATABASE_PORT": NOT_A_PORT,
    "DATABASE_POOL_SIZE": [*NOT_A_COUNT, "201"],
    "DATABASE_MAX_WAITING": NOT_A_COUNT_FROM_0,
    "DATABASE_STARTUP_SECONDS": ["-1", "nan", "x"],
    "DATABASE_BREAKER_OPEN_SECONDS": NOT_POSITIVE,
    "REDIS_PORT": NOT_A_PORT,
    "REDIS_SENTINELS": ["one", "one:", ":26379", "one:0", "one:65536", "one:x", "one:26379,two"],
    "REDIS_TIMEOUT_SECONDS": [*NOT_POSITIVE, "5.1", "inf"],
    "CACHE_NAMESPACE": ["Pidea", "1pidea", "-a", "a b", "a:b", "a*", "a" * 33, "é", "pidea\n"],
    "L1_TTL_MILLISECONDS": [*NOT_A_COUNT_FROM_0, "60001"],
    "L1_LISTENING_TTL_MILLISECONDS": [*NOT_A_COUNT_FROM_0, "60001"],
    "L1_MAX_BYTES": NOT_A_COUNT_FROM_0,
    "L2_TTL_SECONDS": NOT_A_COUNT,
    "L2_MAX_BYTES": NOT_A_COUNT_FROM_0,
    "L3_TTL_SECONDS": NOT_A_COUNT,
    "L3_MAX_BYTES": ["0", str(MIB - 1), "1MiB", "nan"],
    "NEGATIVE_TTL_SECONDS": NOT_A_COUNT,
    "MAX_ENTRY_BYTES": ["1023", "-1", "x"],
    "COMPRESS_ABOVE_BYTES": ["63", "-1", "x"],
    "DEDUP_TIMEOUT_SECONDS": [*NOT_POSITIVE, "60.1", "inf"],
    "DEDUP_MAX_ENTRIES": NOT_A_COUNT,
    "BREAKER_FAILURE_THRESHOLD": NOT_A_COUNT,
    "BREAKER_OPEN_SECONDS": NOT_POSITIVE,
    "RETRY_BUDGET_RATIO": NOT_A_RATIO,
    "TELEMETRY_ENABLED": ["maybe", "2", "enabled"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": NOT_A_URL,
    "TRACE_SAMPLING_RATIO": NOT_A_RATIO,
    "TRACE_MAX_PER_SECOND": NOT_POSITIVE,
    "PROMETHEUS_URL": NOT_A_URL,
    "JAEGER_HEALTH_URL": NOT_A_URL,
    "DEPENDENCY_CHECK_SECONDS": NOT_POSITIVE,
    "OBSERVABILITY_CHECK_SECONDS": NOT_POSITIVE,
    "APDEX_THRESHOLD_SECONDS": NOT_POSITIVE,
    "AVAILABILITY_OBJECTIVE": ["0", "1", "1.1", "-0.5", "99.9", "nan"],
    "EXPERIMENT": ["x", "{", "[]", "1", '{"variants": []}', '{"name": "A"}', '{"other": 1}'],
}
# The last values that are right, where there are limits.
RIGHT: dict[str, list[str]] = {
    "PORT": ["1", "65535"],
    "WORKERS": ["1", "32"],
    "DRAIN_SECONDS": ["0", "300"],
    "CORS_ALLOWED_ORIGINS": ["https://pidea.example", "http://localhost:3000, https://pidea.example,"],
    "RATE_LIMIT_PER_SECOND": ["0", "0.5"],
    "REQUEST_TIMEOUT_SECONDS": ["0.001", "120"],
    "DATABASE_HOST": ["one", "one,two:5433, [::1]", "[::1]:65535"],
    "DATABASE_POOL_SIZE": ["1", "200"],
    "DATABASE_MAX_WAITING": ["0"],
    "REDIS_TIMEOUT_SECONDS": ["0.001", "5"],
    "CACHE_NAMESPACE": ["a", "a" * 32, "pidea-2"],
    "L1_TTL_MILLISECONDS": ["0", "60000"],
    "L1_LISTENING_TTL_MILLISECONDS": ["0", "60000"],
    "L1_MAX_BYTES": ["0"],
    "L3_MAX_BYTES": [str(MIB)],
    "MAX_ENTRY_BYTES": ["1024"],
    "COMPRESS_ABOVE_BYTES": ["64"],
    "DEDUP_TIMEOUT_SECONDS": ["0.001", "60"],
    "RETRY_BUDGET_RATIO": ["0", "1"],
    "TRACE_SAMPLING_RATIO": ["0", "1"],
    "TRACE_MAX_PER_SECOND": ["0.1", "1000"],
    "AVAILABILITY_OBJECTIVE": ["0.5", "0.99999"],
    "PROMETHEUS_URL": ["http://prometheus:9090/"],
}
# What must be there is tested elsewhere, what a password's file may hold too.
FREE = (str, SecretStr, Path | None)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The least that a backend needs; its passwords are SECRET."""
    (tmp_path / "password").write_text(SECRET + "\n")
    (tmp_path / "clients").write_text(f"ide {'0' * 64}\n")
    return {
        "DATABASE_HOST": "postgres",
        "DATABASE_NAME": "pidea",
        "DATABASE_USER": "app",
        "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        "API_CLIENTS_FILE": str(tmp_path / "clients"),
        "REDIS_HOST": "redis",
        "REDIS_PASSWORD_FILE": str(tmp_path / "password"),
        "REDIS_SENTINEL_PASSWORD_FILE": str(tmp_path / "password"),
    }


def refusal(environment: dict[str, str]) -> SettingsError:
    """The error about an environment that must be wrong; it shows no secret in any way that it can be printed."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    printed = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.problems)
    assert SECRET not in printed
    return caught.value


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(variable, value) for variable, values in table.items() for value in values]


def test_every_setting_with_a_constraint_is_tested_here() -> None:
    constrained = {
        name.upper() for name, field in Settings.model_fields.items() if field.metadata or field.annotation not in FREE
    }
    # Those that only must not be empty cannot be: an empty variable counts as absent.
    not_empty = {"ENVIRONMENT", "REDIS_SENTINEL_SERVICE", "REDIS_USERNAME"}
    assert constrained - not_empty - {"CLIENTS"} == WRONG.keys()


@pytest.mark.parametrize(("variable", "value"), cases(WRONG))
def test_a_wrong_value_is_one_problem_that_names_its_variable(
    environment: dict[str, str], variable: str, value: str
) -> None:
    if variable == "REDIS_SENTINELS":
        del environment["REDIS_HOST"]
    (problem,) = refusal({**environment, variable: value}).problems
    assert problem.startswith(f"{variable}: ")
    assert problem.partition(": ")[2]


@pytest.mark.parametrize(("variable", "value"), [("REDIS_SENTINELS", "a:1;b:2"), ("PROMETHEUS_URL", "http://")])
def test_an_address_without_a_host_that_can_be_one_is_refused(
    environment: dict[str, str], variable: str, value: str
) -> None:
    if variable == "REDIS_SENTINELS":
        del environment["REDIS_HOST"]
    (problem,) = refusal({**environment, variable: value}).problems
    assert problem.startswith(f"{variable}: ")


@pytest.mark.parametrize(("variable", "value"), cases(RIGHT))
def test_the_last_value_within_the_limits_is_taken(environment: dict[str, str], variable: str, value: str) -> None:
    Settings.from_environment({**environment, variable: value})


# DATABASE_HOST must not be absent: the test after this one.
@pytest.mark.parametrize("variable", sorted(WRONG.keys() - {"DATABASE_HOST"}))
def test_an_empty_variable_counts_as_absent(environment: dict[str, str], variable: str) -> None:
    field = variable.lower()
    default = getattr(Settings.from_environment(environment), field)
    assert getattr(Settings.from_environment({**environment, variable: ""}), field) == default


@pytest.mark.parametrize(
    "variable",
    [
        *("DATABASE_HOST", "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD_FILE"),
        *("REDIS_HOST", "REDIS_PASSWORD_FILE", "API_CLIENTS_FILE"),
    ],
)
def test_what_must_be_there_is_missed_by_name(environment: dict[str, str], variable: str) -> None:
    del environment[variable]
    (problem,) = refusal(environment).problems
    assert problem.startswith(variable)


def test_redis_has_one_address_or_sentinels_and_not_both(environment: dict[str, str]) -> None:
    (problem,) = refusal({**environment, "REDIS_SENTINELS": "one:26379"}).problems
    assert problem == "REDIS_HOST, REDIS_SENTINELS: only one of them may be set"


@pytest.mark.parametrize("variable", ["DATABASE_PASSWORD", "REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD"])
def test_a_password_in_the_environment_is_refused_and_not_shown(environment: dict[str, str], variable: str) -> None:
    (problem,) = refusal({**environment, variable: SECRET}).problems
    assert problem.startswith(f"{variable}: must not be in the environment")
    assert f"{variable}_FILE" in problem


@pytest.mark.parametrize("variable", ["DATABASE_PASSWORD", "REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD"])
@pytest.mark.parametrize("content", [b"", b"\r\n", SECRET.encode() + b"\xff"])
def test_a_password_file_of_another_form_is_refused_and_not_shown(
    environment: dict[str, str], tmp_path: Path, variable: str, content: bytes
) -> None:
    (tmp_path / "bad").write_bytes(content)
    (problem,) = refusal({**environment, f"{variable}_FILE": str(tmp_path / "bad")}).problems
    assert problem.startswith(f"{variable}_FILE: ")


def test_a_token_in_the_file_of_clients_is_not_shown(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "clients").write_text(f"ide {SECRET}\n")
    (problem,) = refusal(environment).problems
    assert problem.startswith("API_CLIENTS_FILE: ")


def test_all_problems_are_told_at_once_and_none_shows_a_secret(environment: dict[str, str]) -> None:
    everything = {**environment, **{variable: values[0] for variable, values in WRONG.items()}}
    # The rule about both addresses is only looked at when each value is right.
    problems = refusal(everything).problems
    assert {problem.partition(":")[0] for problem in problems} == WRONG.keys()
    assert len(problems) == len(WRONG)


def test_the_process_ends_before_it_takes_its_port(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # To take this port would be another error, with another exit code.
        own = {"PATH": os.environ["PATH"], "LISTEN_ADDRESS": "127.0.0.1", "PORT": str(taken.getsockname()[1])}
        ended = subprocess.run(
            [sys.executable, "-m", "app"],
            cwd=Path(app.__file__).parents[1],
            env={**environment, **own, "L3_TTL_SECONDS": "0", "DATABASE_PASSWORD": SECRET},
            capture_output=True,
            text=True,
            timeout=60,
        )
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 2
    assert "wrong setting: L3_TTL_SECONDS: Input should be greater than or equal to 1, is '0'" in printed
    assert "wrong setting: DATABASE_PASSWORD: must not be in the environment" in printed
    assert len(printed.splitlines()) == 2
    assert SECRET not in printed
