"""Cron's syntax, and what is due when."""

from __future__ import annotations

import datetime
import random

import pytest

from infra.schedule import Schedule, ScheduleError
from infra.settings import StackSettings
from ops.backup.schedule import Timetable

SETTINGS = {"pidea:environment": "staging", "pidea:instance": "pidea-staging"}


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("17 2 * * *", "2026-11-25T02:16:59", "2026-11-25T02:17"),
        ("17 2 * * *", "2026-11-25T02:17:00", "2026-11-26T02:17"),
        ("*/15 * * * *", "2026-12-31T23:50", "2027-01-01T00:00"),
        ("0 3 * * 0", "2026-11-25T00:00", "2026-11-29T03:00"),
        ("0 3 * * 7", "2026-11-25T00:00", "2026-11-29T03:00"),
        ("0 0 29 2 *", "2026-11-25T00:00", "2028-02-29T00:00"),
        ("0 0 1,15 * *", "2026-11-02T00:00", "2026-11-15T00:00"),
        # With both days given either is enough.
        ("0 0 1 * 5", "2026-11-25T00:00", "2026-11-27T00:00"),
        ("5-10/5 4 * 6-7 *", "2026-11-25T00:00", "2027-06-01T04:05"),
    ],
)
def test_the_next_time(schedule: str, after: str, due: str) -> None:
    assert Schedule.parse(schedule).next(at(after)) == at(due)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("17 2 * *", "must have 5 fields"),
        ("60 2 * * *", "minute: '60' must lie between 0 and 59"),
        ("0 5-2 * * *", "hour: '5-2' must lie"),
        ("0 0 * * mon", "day of week: 'mon' is no number"),
        ("*/0 * * * *", "minute: '*/0' must lie"),
        ("0 0 30 2 *", "a day that never comes"),
        ("", "must have 5 fields"),
    ],
)
def test_what_is_no_schedule(text: str, problem: str) -> None:
    with pytest.raises(ScheduleError, match=problem.replace("*", r"\*")):
        Schedule.parse(text)


def test_a_wrong_schedule_is_a_settings_error_with_its_path() -> None:
    with pytest.raises(Exception, match=r"pidea:backup.schedule: must have 5 fields"):
        StackSettings.from_config({**SETTINGS, "pidea:backup": {"schedule": "nightly"}})
    with pytest.raises(Exception, match=r"pidea:backup.keepDaily: must be greater than or equal to 1"):
        StackSettings.from_config({**SETTINGS, "pidea:backup": {"keepDaily": 0}})


def ran(timetable: Timetable, *moments: str) -> int:
    return sum(len(timetable.due(at(moment))) for moment in moments)


def timetable(jitter_seconds: float = 0.0) -> Timetable:
    made = Timetable(jitter_seconds, random.Random(1))  # noqa: S311 - the same each time
    made.add("backup", Schedule.parse("0 * * * *"), lambda: None)
    return made


def test_what_is_due_is_due_once() -> None:
    assert ran(timetable(), "2026-11-25T00:30", "2026-11-25T00:59:59") == 0
    assert ran(timetable(), "2026-11-25T00:30", "2026-11-25T01:00", "2026-11-25T01:00:01") == 1


def test_what_was_missed_several_times_is_made_up_for_once() -> None:
    assert ran(timetable(), "2026-11-25T00:30", "2026-11-25T07:00:01", "2026-11-25T07:00:02") == 1


def test_a_clock_that_is_set_back_leaves_no_job_waiting() -> None:
    table = timetable()
    assert ran(table, "2027-11-25T00:30", "2026-11-25T00:30", "2026-11-25T01:00") == 1


def test_chance_delays_within_its_limit_and_skips_nothing() -> None:
    table = timetable(jitter_seconds=600)
    seconds = range(0, 4 * 3600, 5)
    start = at("2026-11-25T00:30")
    found = [s for s in seconds for _ in table.due(start + datetime.timedelta(seconds=s))]
    assert len(found) == 4 or len(found) == 3
    assert all(0 <= (s - 1800) % 3600 <= 605 for s in found)
