"""The parts of the backup service that need no server."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

import pytest

from infra.plan import build_plan
from infra.settings import StackSettings
from ops.backup import metrics, postgres, process, redis, state, wal
from ops.backup.errors import BusyError, ToolError
from ops.backup.exchange import exchange
from ops.backup.settings import Settings, SettingsError
from tests.unit.infra.conftest import STACKS, read_config


@pytest.mark.parametrize(
    ("timeline", "lsn", "name"),
    [
        (1, "0/3000060", "000000010000000000000003"),
        (2, "1/FF000000", "0000000200000001000000FF"),
        (16, "AB/0", "00000010000000AB00000000"),
    ],
)
def test_the_segment_of_a_place_in_the_wal(timeline: int, lsn: str, name: str) -> None:
    assert wal.segment_name(timeline, lsn) == name


def test_an_epoch_keeps_its_own_wal_and_no_more(tmp_path: Path) -> None:
    settings = settings_of("staging", tmp_path)
    settings.wal.mkdir()
    names = ["000000010000000000000004", "000000010000000000000005", "000000020000000000000005.partial"]
    for name in (*names, "00000002.history", "marks"):
        (settings.wal / name).touch()
    wal.begin_epoch(settings, "e", "000000010000000000000005", {"base_stop": "then"})
    assert {path.name for path in settings.wal.iterdir()} == {*names[1:], "00000002.history", "marks", "epoch"}
    assert wal.epoch(settings) == "e"
    wal.start_over(settings)
    assert wal.epoch(settings) is None


def test_a_base_is_known_by_its_label() -> None:
    label = b"backup_label\0\0START WAL LOCATION: 0/4000028 (file 000000030000000000000004)\nSTART TIMELINE: 3\n"
    assert postgres.base_of(label) == postgres.Base(start_lsn="0/4000028", timeline=3)
    with pytest.raises(ToolError, match="no backup label"):
        postgres.base_of(b"PG_VERSION")


def test_a_difference_names_its_table() -> None:
    recorded = {"a": {"rows": 2, "digest": "1"}, "b": {"rows": 1, "digest": "1"}, "c": {"rows": 1, "digest": "1"}}
    restored = {"a": {"rows": 2, "digest": "1"}, "b": {"rows": 1, "digest": "2"}}
    assert postgres.compare(recorded, restored) == [
        "b: 1 rows were recorded, 1 came back, with other contents",
        "c: 1 rows were recorded, None came back",
    ]


@pytest.mark.parametrize("end", [b"", b"0123456789abcdef0123456789abcdef01234567"])
def test_the_mark_behind_a_copy_of_redis_is_taken_away_and_nothing_else(tmp_path: Path, end: bytes) -> None:
    copy = b"REDIS0010" + b"a" * 60 + b"\xff" + b"01234567"
    file = tmp_path / "copy"
    file.write_bytes(copy + end)
    redis._without_mark(file)
    assert file.read_bytes() == copy


def test_what_is_cut_off_does_not_reach_its_end(tmp_path: Path) -> None:
    """The reader must not take half of a stream for all of it."""
    whole = tmp_path / "whole"
    reader = [sys.executable, "-c", f"import sys; sys.stdin.read(); open({str(whole)!r}, 'w')"]
    with pytest.raises(ToolError, match="broken"):
        process.pipe(["bash", "-c", "echo half; echo broken >&2; exit 3"], {}, reader, {})
    assert not whole.exists()
    assert process.pipe(["echo", "all"], {}, reader, {}).size_bytes == 4
    assert whole.exists()


def test_a_stream_is_no_faster_than_allowed() -> None:
    begun = time.monotonic()
    process.pipe(["head", "-c", "3000000", "/dev/zero"], {}, ["cat"], {}, bytes_per_second=6_000_000)
    assert time.monotonic() - begun >= 0.45


def _hold(folder: Path, seconds: float) -> None:
    with state.alone(folder, state.JOBS, wait_seconds=0):
        (folder / "held").touch()
        time.sleep(seconds)


def test_one_job_at_a_time_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path, 60.0))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with pytest.raises(BusyError, match="is at work"), state.alone(tmp_path, state.JOBS, wait_seconds=0.1):
        pass
    holder.kill()
    holder.join()
    with state.alone(tmp_path, state.JOBS, wait_seconds=1):
        pass


def test_a_failure_shows_until_the_next_success(tmp_path: Path) -> None:
    state.record(tmp_path, "redis", last_failure_timestamp_seconds=2.0, last_success_timestamp_seconds=1.0)
    assert 'pidea_backup_failing{backup="redis"} 1' in metrics.text(tmp_path, 0.0)
    state.record(tmp_path, "redis", last_success_timestamp_seconds=3.0)
    assert 'pidea_backup_failing{backup="redis"} 0' in metrics.text(tmp_path, 0.0)


def test_two_folders_change_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"was-{name}").touch()
    exchange(str(tmp_path / "a"), str(tmp_path / "b"))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["was-b"]
    with pytest.raises(FileNotFoundError):
        exchange(str(tmp_path / "a"), str(tmp_path / "c"))


def environment_of(stack: str) -> dict[str, str]:
    plan = build_plan(StackSettings.from_config(read_config(stack)))
    (service,) = [service for service in plan.services if service.name == "backup"]
    return dict(service.env)


def settings_of(stack: str, data: Path) -> Settings:
    return Settings.from_environment({**environment_of(stack), "DATA": str(data)})


@pytest.mark.parametrize("stack", STACKS)
def test_the_plan_says_what_the_service_needs(stack: str, tmp_path: Path) -> None:
    settings = settings_of(stack, tmp_path)
    assert settings.repository.url == "/data/repository"
    assert "target_session_attrs=primary" in postgres.connection(settings, "primary")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SCHEDULE", "nightly", "SCHEDULE must have 5 fields"),
        ("REPOSITORY", "", "REPOSITORY must be set"),
        ("WAL_SECONDS", "soon", "WAL_SECONDS must be a number"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        Settings.from_environment({**environment_of("staging"), name: value})
