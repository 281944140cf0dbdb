"""What the witness has told: when each alert was pending, fired, was told, and was over. Times are since the epoch."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

FIRING, RESOLVED, PENDING = "firing", "resolved", "pending"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """An alert of a page that arrived `at`; `status` is firing or resolved."""

    at: float
    status: str
    labels: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """All alerts of one Prometheus from `at` on, each with its state: pending or firing. None: it did not answer."""

    at: float
    source: str
    alerts: tuple[tuple[Mapping[str, str], str], ...] | None


class Timeline:
    """Everything told so far; may be read while it grows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: list[Page] = []
        self._looks: list[Look] = []
        self._lines: set[int] = set()
        self.has_started = False

    def take(self, line: str) -> None:
        """One line of the witness, which may come again; what is none of its lines (a traceback) is left out."""
        with self._lock:
            if hash(line) in self._lines:
                return
            self._lines.add(hash(line))
        try:
            self._add(json.loads(line))
        except (ValueError, KeyError, TypeError):
            return

    def pages(self, since: float = 0.0) -> list[Page]:
        """Those that arrived since."""
        with self._lock:
            return [page for page in self._pages if page.at >= since]

    def told(self, alert: str, labels: Mapping[str, str], status: str, since: float) -> float | None:
        """When the first page of that status about it arrived."""
        wanted = {"alertname": alert, **labels}
        return _first(page.at for page in self.pages(since) if page.status == status and fits(page.labels, wanted))

    def entered(self, alert: str, labels: Mapping[str, str], states: Iterable[str], since: float) -> float | None:
        """When a Prometheus was first seen with it in one of these states."""
        wanted, known = {"alertname": alert, **labels}, frozenset(states)
        with self._lock:
            return _first(look.at for look in self._looks if look.at >= since and _has(look, wanted, known))

    def left(self, alert: str, labels: Mapping[str, str], since: float) -> float | None:
        """When no Prometheus had it any more for the first time since; None while one has it."""
        wanted, states = {"alertname": alert, **labels}, frozenset({PENDING, FIRING})
        ends = []
        with self._lock:
            for source in {look.source for look in self._looks}:
                looks = [look for look in self._looks if look.source == source and look.alerts is not None]
                # A look holds until the next one: the last one before is that of the moment.
                known = [look for look in looks if look.at <= since][-1:] + [look for look in looks if look.at > since]
                end = _first(look.at for look in known if not _has(look, wanted, states))
                if end is None:
                    return None
                ends.append(end)
        return max(max(ends), since) if ends else None

    def now(self, states: Iterable[str] = (FIRING,)) -> list[Mapping[str, str]]:
        """The alerts that fire, or are in one of these states, by the newest look at each Prometheus."""
        known = frozenset(states)
        with self._lock:
            newest = {look.source: look for look in self._looks if look.alerts is not None}
        return [labels for look in newest.values() for labels, state in look.alerts or () if state in known]

    def _add(self, told: Mapping[str, Any]) -> None:
        if told["kind"] == "started":
            self.has_started = True
        elif told["kind"] == "page":
            page = Page(at=told["at"], status=told["status"], labels=told["labels"])
            with self._lock:
                self._pages.append(page)
        elif told["kind"] == "states":
            alerts = told.get("alerts")
            known = None if alerts is None else tuple((one["labels"], one["state"]) for one in alerts)
            with self._lock:
                self._looks.append(Look(at=told["at"], source=told["source"], alerts=known))


def fits(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether these labels have all of those that are wanted."""
    return all(labels.get(name) == value for name, value in wanted.items())


def _has(look: Look, wanted: Mapping[str, str], states: frozenset[str]) -> bool:
    return any(state in states and fits(labels, wanted) for labels, state in look.alerts or ())


def _first(times: Iterable[float]) -> float | None:
    return min(times, default=None)
