"""Cron's syntax, as far as the platform takes it: five fields of numbers, `*`, ranges, steps and lists, in UTC."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Final

# The fields in their order, each with its least and greatest value. Both 0 and 7 are Sunday.
_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_PART: Final = re.compile(r"(?:\*|(?P<first>\d+)(?:-(?P<last>\d+))?)(?:/(?P<step>\d+))?")
# February 29th comes within eight years, also around 2100.
_HORIZON_DAYS: Final = 8 * 366 + 1


class ScheduleError(ValueError):
    """Raised for a text that is no schedule; says which field is wrong and what it must be."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When something is due: the allowed values of each field."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    # With both days given, either is enough: so has cron always read them.
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """`30 2 * * *` is half past two every night. Raises ScheduleError."""
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise ScheduleError(f"must have 5 fields (minute hour day month weekday), {text!r} has {len(fields)}")
        values = [_values(field, *about) for field, about in zip(fields, _FIELDS, strict=True)]
        weekdays = frozenset(day % 7 for day in values[4])
        found = cls(
            minutes=values[0],
            hours=values[1],
            days=values[2],
            months=values[3],
            weekdays=weekdays,
            either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        )
        found.next(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        return found

    def next(self, after: datetime.datetime) -> datetime.datetime:
        """The first minute later than `after` that is due. Raises ScheduleError for a day that never comes."""
        moment = after.replace(second=0, microsecond=0) + datetime.timedelta(minutes=1)
        day = moment.replace(hour=0, minute=0)
        for _ in range(_HORIZON_DAYS):
            if self._has_day(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        due = day.replace(hour=hour, minute=minute)
                        if due >= moment:
                            return due
            day += datetime.timedelta(days=1)
        raise ScheduleError("is a day that never comes")

    def _has_day(self, day: datetime.datetime) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week


def _values(text: str, name: str, least: int, greatest: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ScheduleError(f"{name}: {part!r} is no number, range, step or *")
        first, last = int(match["first"] or least), int(match["last"] or match["first"] or greatest)
        if match["step"] and match["first"] and not match["last"]:
            last = greatest
        step = int(match["step"] or 1)
        if not least <= first <= last <= greatest or step < 1:
            raise ScheduleError(f"{name}: {part!r} must lie between {least} and {greatest}")
        found.update(range(first, last + 1, step))
    return frozenset(found)
