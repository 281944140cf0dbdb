"""Observations to judge, made up: a run of 30 s on three nodes whose fault begins at 10 s and ends at 12 s."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from ops.chaos.records import Fault, Observation, Outcome, Request, Sample, Store, Write

BEGIN = 1000.0


def write(
    at: float,
    *,
    store: Store = Store.REDIS,
    slot: int = 1,
    outcome: Outcome = Outcome.ACKNOWLEDGED,
    server: str = "redis-1",
    writer: str = "",
    took: float = 0.0,
) -> Write:
    """A write answered `at` seconds after the run's begin, and tried `took` seconds before."""
    return Write(store, slot, writer or f"w{slot}", int((BEGIN + at - took) * 1000), BEGIN + at, outcome, server)


def steady(
    store: Store, slot: int, *, without: tuple[float, float] = (0, 0), outcome: Outcome | None = None
) -> list[Write]:
    """Ten writes a second, none between the two moments of `without`."""
    usual = Outcome.ACCEPTED if store is Store.STICKY else Outcome.ACKNOWLEDGED
    times = [number / 10 for number in range(301)]
    return [
        write(time, store=store, slot=slot, outcome=outcome or usual)
        for time in times
        if not without[0] < time < without[1]
    ]


def request(
    at: float, *, client: str = "edge-1", status: int = 200, content: str = "", seconds: float = 0.01
) -> Request:
    """A request sent `at` seconds after the run's begin; `any` asks the edge of node 1."""
    edge = 1 if client == "any" else int(client[-1])
    return Request(client, edge, BEGIN + at, seconds, status, "" if 200 <= status < 300 else f"HTTP {status}", content)


def sample(at: float, **more: Any) -> Sample:
    """A whole stack, as node 1 sees it; `more` replaces fields."""
    whole = Sample(
        slot=1,
        at=BEGIN + at,
        redis={
            "redis-1": {"role": "master", "writable": True},
            "redis-2": {"role": "slave", "of": "redis-1", "link": "up"},
            "redis-3": {"role": "slave", "of": "redis-1", "link": "up"},
        },
        sentinels={f"sentinel-{slot}": "redis-1" for slot in (1, 2, 3)},
        postgres={"postgres-1": "primary", "postgres-2": "standby", "postgres-3": "standby"},
        patroni={
            "postgres-1": {"role": "leader", "state": "running"},
            "postgres-2": {"role": "sync_standby", "state": "streaming"},
            "postgres-3": {"role": "replica", "state": "streaming"},
        },
    )
    return dataclasses.replace(whole, **more)


def observation(
    *,
    writes: Iterable[Write] | None = None,
    requests: Iterable[Request] | None = None,
    samples: Iterable[Sample] | None = None,
    slots: tuple[int, ...] = (),
    recovered: float | None = 20.0,
    **more: Any,
) -> Observation:
    """A run in which all went well; what is given replaces that part of it. All that was written is stored."""
    if writes is None:
        writes = [item for store in Store for slot in (1, 2, 3) for item in steady(store, slot)]
    if requests is None:
        requests = [request(n / 10, client=c, content=f"{c}.{n}") for c in ("edge-1", "any") for n in range(300)]
    written, asked = tuple(writes), tuple(requests)
    stored = [item.id for item in written if item.outcome is not Outcome.FAILED]
    made = Observation(
        scenario="made-up",
        begin=BEGIN,
        end=BEGIN + 30,
        fault=Fault(
            what="redis-1 killed on n1 & <more>",
            begin=BEGIN + 10,
            end=BEGIN + 12,
            slots=slots,
            recovered=None if recovered is None else BEGIN + recovered,
        ),
        nodes=3,
        writes=written,
        requests=asked,
        samples=tuple(samples if samples is not None else [sample(n / 4) for n in range(120)]),
        stored_messages=tuple(item.content for item in asked if item.content and not item.failed),
        stored_redis=frozenset(one for one in stored if not one.startswith("postgres")),
        stored_postgres=frozenset(one for one in stored if one.startswith("postgres")),
    )
    return dataclasses.replace(made, **more)
