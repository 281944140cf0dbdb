"""What the measurement of watching makes of what it saw, and whether that is as promised."""

from __future__ import annotations

import pytest

from infra import names
from ops.bench import watching
from ops.bench.watching import OBSERVERS, Load, Watching
from ops.stack import settings
from ops.stack.reference import resolve

SERVING = (names.APP, names.EDGE, names.REDIS, names.POSTGRES, names.BACKUP)


def load(observers_cores: float, observers_mib: float) -> Load:
    """The observers together use so much; what serves uses one processor and 500 MiB."""
    return Load(
        name="a load",
        requests_per_second=1000.0,
        failed=0,
        cpu_cores=dict.fromkeys(OBSERVERS, observers_cores / len(OBSERVERS)) | dict.fromkeys(SERVING, 0.2),
        memory_mib=dict.fromkeys(OBSERVERS, observers_mib / len(OBSERVERS)) | dict.fromkeys(SERVING, 100.0),
    )


def test_who_observes_and_who_serves_is_all_of_staging() -> None:
    assert {spec.name for spec in settings.plan_of(resolve("staging")).services} == {*OBSERVERS, *SERVING}


@pytest.mark.parametrize(
    ("calm", "limit", "is_cheap"),
    [
        ((0.5, 399.0), (0.17, 399.0), True),
        ((0.5, 401.0), (0.17, 399.0), False),
        ((0.5, 399.0), (0.18, 399.0), False),
        ((0.5, 399.0), (0.17, 401.0), False),
    ],
)
def test_processor_time_counts_at_the_limit_and_memory_always(
    calm: tuple[float, float], limit: tuple[float, float], is_cheap: bool
) -> None:
    assert Watching(loads=[load(*calm), load(*limit)]).is_cheap is is_cheap


def test_the_table_has_the_sum_and_every_service() -> None:
    rows = watching.page(Watching(loads=[load(0.25, 200.0)])).splitlines()
    assert "| **all that observe** | **20.0% of all, 200 MiB** |" in rows
    assert "| redis (serves) | 0.200, 100 MiB |" in rows
    assert len(rows) == 4 + len(OBSERVERS) + len(SERVING)
