"""Settings of what the users are promised: the service level objectives, and what follows when one is missed."""

from __future__ import annotations

from typing import Annotated, Final

import pydantic

from infra.section import Section

# A histogram can only be asked for its buckets' limits; these are the application's.
BUCKETS_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# At the fastest burn that pages, 14.4 times the budget, a target below 0.94 could be missed without an alert.
Target = Annotated[float, pydantic.Field(ge=0.94, lt=1.0)]


class AvailabilitySettings(Section):
    """The part of the users' requests that the edge answers without a server's error."""

    target: Target = 0.999


class LatencySettings(Section):
    """The part of the successful requests of a kind that are answered within `threshold_seconds`."""

    target: Target = 0.99
    threshold_seconds: float

    @pydantic.field_validator("threshold_seconds")
    @classmethod
    def _is_measured(cls, threshold_seconds: float) -> float:
        if threshold_seconds not in BUCKETS_SECONDS:
            raise ValueError(f"must be one of {', '.join(f'{limit:g}' for limit in BUCKETS_SECONDS)}")
        return threshold_seconds


class FreshnessSettings(Section):
    """The part of the time in which everything written until `maximum_age_seconds` ago was in a backup.

    While nobody writes, WAL is stored every five minutes; less than that could not be told from a failure.
    """

    target: Target = 0.99
    maximum_age_seconds: Annotated[int, pydantic.Field(ge=600, le=86_400)] = 600


class TracingObjective(Section):
    """The part of the spans handed in that were kept."""

    target: Target = 0.99


class ObjectiveSettings(Section):
    """All objectives, over a rolling period of `window_days`.

    No alert until more than `minimum_failures` requests have failed in its longer window: at low traffic a single one
    is a large part of all. With `hold_deployments` a spent budget makes `./pidea up` ask for --force.
    """

    window_days: Annotated[int, pydantic.Field(ge=4, le=90)] = 14
    minimum_failures: Annotated[int, pydantic.Field(ge=1, le=10_000)] = 5
    hold_deployments: bool = False
    availability: AvailabilitySettings = AvailabilitySettings()
    cached_reads: LatencySettings = LatencySettings(thresholdSeconds=0.1)
    uncached_reads: LatencySettings = LatencySettings(thresholdSeconds=0.5)
    writes: LatencySettings = LatencySettings(thresholdSeconds=0.5)
    backups: FreshnessSettings = FreshnessSettings()
    tracing: TracingObjective = TracingObjective()
