"""Silences of a stack's alerts, through the operators' door. What one Alertmanager is told, all of a cluster know."""

from __future__ import annotations

import dataclasses
import datetime
import getpass
import re
import urllib.error
from collections.abc import Sequence
from typing import Any, Final

from ops.errors import OpsError, UsageError
from ops.stack.door import Call

_SILENCES: Final = "alertmanager/api/v2/silences"
_MATCHER: Final = re.compile(r'^([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"?([^"]*)"?$')
_DURATION: Final = re.compile(r"^(\d+)([mhd])$")
# What Alertmanager is told of a new silence; it gives it an id itself.
_SET: Final = ("matchers", "startsAt", "endsAt", "createdBy", "comment")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
LONGEST: Final = datetime.timedelta(days=30)


class SilenceError(OpsError):
    """Raised when Alertmanager does not answer, or refuses."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Silence:
    """What is not told until it ends. `state` is Alertmanager's: active, pending, expired."""

    id: str
    state: str
    matchers: str
    ends_at: datetime.datetime
    author: str
    comment: str

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {**dataclasses.asdict(self), "ends_at": self.ends_at.isoformat()}


def add(call: Call, matchers: Sequence[str], lasts: datetime.timedelta, comment: str) -> str:
    """Silences what has all of the labels, from now on; its id. Raises UsageError, SilenceError."""
    now = datetime.datetime.now(datetime.UTC)
    wanted = {
        "matchers": [_matcher(text) for text in matchers],
        "startsAt": now.isoformat(),
        "endsAt": (now + lasts).isoformat(),
        "createdBy": getpass.getuser(),
        "comment": comment,
    }
    return str(_asked(call, "POST", _SILENCES, wanted)["silenceID"])


def of(call: Call, *, expired: bool = False) -> Sequence[Silence]:
    """The silences that hold or will, those that end first first; with `expired` also those that no longer do."""
    found = [_read(item) for item in _asked(call, "GET", _SILENCES) or []]
    return sorted((one for one in found if expired or one.state != "expired"), key=lambda one: one.ends_at)


def expire(call: Call, id_or_beginning: str) -> Silence:
    """Ends a silence now. Raises UsageError where the beginning of an id fits none, or several."""
    fitting = [one for one in of(call) if one.id.startswith(id_or_beginning)]
    if len(fitting) != 1:
        known = ", ".join(one.id[:8] for one in of(call)) or "none"
        raise UsageError(f"{len(fitting)} silences begin with {id_or_beginning!r}; there are {known}.")
    _asked(call, "DELETE", f"alertmanager/api/v2/silence/{fitting[0].id}")
    return fitting[0]


def bring_back(call: Call, kept: Sequence[dict[str, Any]]) -> int:
    """Sets silences that Alertmanager gave before, of those that have not ended; gives how many were missing."""
    now = datetime.datetime.now(datetime.UTC)
    there = {(one.matchers, one.ends_at) for one in of(call)}
    missing = [
        item for item in kept if (known := _read(item)).ends_at > now and (known.matchers, known.ends_at) not in there
    ]
    for item in missing:
        _asked(call, "POST", _SILENCES, {key: item[key] for key in _SET})
    return len(missing)


def duration(text: str) -> datetime.timedelta:
    """`90m`, `2h`, `3d`. Raises UsageError for anything else, and beyond 30 days: who forgets it misses every page."""
    found = _DURATION.match(text)
    if found is None or not int(found[1]):
        raise UsageError(f"{text!r} is no duration; write it as 30m, 2h or 3d.")
    lasts = datetime.timedelta(**{_UNITS[found[2]]: int(found[1])})
    if lasts > LONGEST:
        raise UsageError(f"{text} is too long to remember; at most {LONGEST.days}d, then say it again.")
    return lasts


def _matcher(text: str) -> dict[str, Any]:
    found = _MATCHER.match(text)
    if found is None:
        raise UsageError(
            f'{text!r} picks no alerts; write label=value, such as alertname=PideaRedisDown or service=~"a|b".'
        )
    name, operator, value = found.groups()
    if "~" in operator:
        try:
            re.compile(value)
        except re.error as error:
            raise UsageError(f"{text!r} is no regular expression: {error}.") from error
    return {"name": name, "value": value, "isRegex": "~" in operator, "isEqual": operator.startswith("=")}


def _read(item: dict[str, Any]) -> Silence:
    operators = {(True, False): "=", (True, True): "=~", (False, False): "!=", (False, True): "!~"}
    return Silence(
        id=item["id"],
        state=item["status"]["state"],
        matchers=", ".join(
            f"{one['name']}{operators[one.get('isEqual', True), one['isRegex']]}{one['value']}"
            for one in item["matchers"]
        ),
        ends_at=datetime.datetime.fromisoformat(item["endsAt"].replace("Z", "+00:00")),
        author=item["createdBy"],
        comment=item["comment"],
    )


def _asked(call: Call, method: str, path: str, body: Any = None) -> Any:
    try:
        return call(method, path, body)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace").strip()
        raise SilenceError(f"Alertmanager refuses: {said or error.reason}") from error
    except (OSError, ValueError) as error:
        raise SilenceError(f"Alertmanager cannot be asked: {error}; `./pidea status` says what runs.") from error
