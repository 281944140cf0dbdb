"""The time that a page looks at, and what depends on it in a query."""

from __future__ import annotations

import dataclasses
import re

from ops.dashboards.errors import QueryError

# As many points as a graph has pixels for, more or less; Prometheus refuses more than 11 000.
_POINTS = 240
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NEVER_LONGER_SECONDS = 400 * 86400


@dataclasses.dataclass(frozen=True)
class Window:
    """From `start` to `end`, in seconds since 1970, looked at every `step` seconds."""

    start: float
    end: float
    step: int
    scrape_interval_seconds: int

    @classmethod
    def parse(cls, since: str, until: str, now: float, scrape_interval_seconds: int) -> Window:
        """What `from` and `to` say in an address as Grafana writes it: `now-6h`, `now`, or milliseconds since 1970.

        Raises QueryError where they say nothing.
        """
        start, end = _moment("from", since, now), _moment("to", until, now)
        if not 0 < end - start <= _NEVER_LONGER_SECONDS:
            raise QueryError(
                f"from={since} and to={until} are no time to look at: from must come first, within 400 days"
            )
        step = max(scrape_interval_seconds, int((end - start) / _POINTS))
        return cls(start, end, step, scrape_interval_seconds)

    def fill(self, expression: str) -> str:
        """A query with what Grafana would put in place of its variables."""
        # Two scrapes at least, whatever one of them missed.
        rate = max(self.step + self.scrape_interval_seconds, 4 * self.scrape_interval_seconds)
        filled = expression.replace("$__rate_interval", f"{rate}s")
        return filled.replace("$__interval", f"{self.step}s").replace("$__range", f"{int(self.end - self.start)}s")


def _moment(name: str, text: str, now: float) -> float:
    if text.isdecimal() and len(text) <= 15:
        return int(text) / 1000
    relative = re.fullmatch(r"now(?:-(\d{1,6})([smhdw]))?", text)
    if relative is None:
        raise QueryError(f"{name}={text} is no moment: write now, now-6h, or milliseconds since 1970")
    return now - (int(relative[1]) * _UNITS[relative[2]] if relative[1] else 0)
