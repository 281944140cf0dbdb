"""What happened to the stack, told by who did it. Each is a metric: Prometheus remembers it, every graph shows it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal

import pydantic
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

# Some scrapes long, so that every Prometheus has it even if one fails; then it is theirs to remember.
TOLD_FOR_SECONDS: Final = 60.0
_MOST: Final = 50

# Printable, since it becomes a label and is shown.
Text = Annotated[str, pydantic.Field(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Event(pydantic.BaseModel):
    """What is told. `digest` is that of what was deployed; `timestamp_seconds` since 1970 is when, now if not said."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: Literal["deployment", "chaos"]
    title: Annotated[Text, pydantic.Field(min_length=1)]
    digest: Text = ""
    author: Text = ""
    timestamp_seconds: Annotated[float, pydantic.Field(gt=0, lt=1e11)] | None = None


class Events(Collector):
    """The last ones. Not kept: a viewer that starts anew knows none, Prometheus all."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._told: deque[tuple[float, Event]] = deque(maxlen=_MOST)

    def add(self, event: Event) -> None:
        """Told from now on, for a while."""
        self._told.append((self._clock(), event))

    def collect(self) -> Iterator[Metric]:
        """For a registry."""
        found = GaugeMetricFamily(
            "pidea_event_timestamp_seconds",
            "When it happened.",
            labels=("kind", "title", "digest", "author"),
        )
        earliest = self._clock() - TOLD_FOR_SECONDS
        # Of two that are called the same the later one counts: a series has one value.
        last = {
            (event.kind, event.title, event.digest, event.author): event.timestamp_seconds or told
            for told, event in tuple(self._told)
            if told > earliest
        }
        for labels, timestamp in last.items():
            found.add_metric(labels, timestamp)
        yield found
