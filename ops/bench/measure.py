"""What is measured on the stand. Everything that is compared takes turns, so that a busy machine troubles all alike."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from infra import names
from ops import console
from ops.bench.stand import Mix, Stand

OURS = "pidea"
LIBRARIES = ("cashews", "aiocache")
# More than the machine can serve at once.
CONNECTIONS = 16
# With these pauses, so few requests that none of them has to queue: what is measured then is the service.
CALM_THINK_MS = 20
STEADY_PER_SECOND = 150
FROZEN_SECONDS = 10
BEFORE_SECONDS = 5
# Until every chat is in the cache, as those that are read at all are on any ordinary day.
WARM_SECONDS = 20
EXPERIMENT = {
    "name": "bench",
    "variants": [
        {"name": "optimised", "weight": 1},
        {"name": "baseline", "weight": 1, "off": ["l1", "l2", "l3", "dedup", "breaker"]},
    ],
}
# Of the staging stack.
REPLICAS = 2
IDENTICAL_CALLS = 10_000
DURATION = "pidea_http_request_duration_seconds_"
MESSAGES = "/api/chats/{chat_id}/messages"
EVERY = Mix(skew=0.0, writes=0.0)
HOT = Mix(chats=1, writes=0.0)


@dataclasses.dataclass(frozen=True)
class Load:
    """Rounds of a closed loop: medians over the rounds, sums of what must not happen."""

    throughput_per_second: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    requests: int
    failed: int
    origin_calls: int
    hit_ratio: float | None = None
    cpu_ms_per_request: float | None = None
    # As the service itself measures them.
    read_mean_ms: float | None = None
    write_mean_ms: float | None = None

    @property
    def origin_calls_per_thousand(self) -> float:
        """Reads from PostgreSQL for each thousand requests."""
        return 1000 * self.origin_calls / max(1, self.requests)


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a steady load: latencies of all its requests, failed ones too."""

    name: str
    seconds: float
    requests: int
    failed_reads: int
    failed_writes: int
    stale: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclasses.dataclass(frozen=True)
class Outage:
    """What a service did before, while and after something was done to a dependency at second `BEFORE_SECONDS`."""

    service: str
    what: str
    phases: tuple[Phase, ...]
    breaker: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Identical:
    """Identical calls at once on two replicas, of a page that no tier has."""

    calls: int
    answered: int
    executions: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Soak:
    """Steady load for long: memory, tasks and connections at the end of each tenth."""

    seconds: int
    requests: int
    failed: int
    resident_mib: tuple[float, ...]
    open_files: tuple[int, ...]
    pool_connections: tuple[int, ...]
    background_tasks: tuple[int, ...]


def variants(stand: Stand, seconds: int, rounds: int) -> tuple[dict[str, Load], dict[str, Load]]:
    """Both arms of an experiment, on live traffic of the same replicas: calm, for its response times, and at the
    limit, for its capacity."""
    stand.backend(OURS, replicas=REPLICAS, EXPERIMENT=json.dumps(EXPERIMENT))
    clients: dict[str, str] = json.loads(stand.run(["python", "arms.py", stand.host(OURS)]))
    stand.wrk(
        OURS, seconds=WARM_SECONDS, connections=CONNECTIONS, replicas=REPLICAS, client=clients["optimised"], mix=EVERY
    )
    loads = []
    for mix in (Mix(think_ms=CALM_THINK_MS), Mix()):
        runs = {arm: _Rounds(stand, OURS, arm) for arm in clients}
        for number in range(rounds):
            for arm, client in clients.items():
                console.say(f"  {arm}, {'calm' if mix.think_ms else 'at the limit'}, round {number + 1} of {rounds}")
                load = partial(stand.wrk, OURS, seconds=seconds, connections=CONNECTIONS, replicas=REPLICAS)
                runs[arm].add(partial(load, client=client, mix=mix))
        loads.append({arm: run.load() for arm, run in runs.items()})
    stand.remove(OURS)
    return loads[0], loads[1]


def libraries(stand: Stand, seconds: int, rounds: int) -> tuple[dict[str, Load], list[Outage]]:
    """The same job done with the libraries: under load, and while Redis is frozen."""
    services = (OURS, *LIBRARIES)
    stand.backend(OURS)
    for library in LIBRARIES:
        stand.comparator(library)
    runs = {name: _Rounds(stand, name, "optimised") for name in services}
    for name in services:
        stand.wrk(name, seconds=WARM_SECONDS, connections=CONNECTIONS, mix=EVERY)
    for number in range(rounds):
        for name in services:
            console.say(f"  {name}, round {number + 1} of {rounds}")
            runs[name].add(partial(stand.wrk, name, seconds=seconds, connections=CONNECTIONS))
    outages = []
    for name in services:
        console.say(f"  {name}, Redis frozen")
        container = stand.container(names.REDIS, of_stack=True) if name == OURS else stand.container(f"{name}-redis")
        with stand.frozen_for(container, after_seconds=BEFORE_SECONDS, seconds=FROZEN_SECONDS):
            seconds_seen = _steady(stand, name, BEFORE_SECONDS + FROZEN_SECONDS + 15)
        outages.append(outage_of(name, "Redis frozen", seconds_seen, FROZEN_SECONDS))
    stand.remove(OURS, *LIBRARIES, *(f"{library}-redis" for library in LIBRARIES))
    return {name: run.load() for name, run in runs.items()}, outages


def identical(stand: Stand) -> Identical:
    """Two replicas, a page that no tier has, every call on a connection of its own."""
    stand.backend("pair", replicas=REPLICAS, MAX_REQUESTS_IN_FLIGHT=str(IDENTICAL_CALLS))
    chat = stand.mix.chats // 2
    path = f"/api/chats/00000000-0000-4000-8000-{chat:012x}/messages?limit=29"
    before = _origin_calls(stand.metrics("pair"))
    burst = json.loads(stand.run(["python", "burst.py", stand.host("pair"), path, str(IDENTICAL_CALLS)]))
    executions = _origin_calls(stand.metrics("pair")) - before
    stand.remove("pair")
    return Identical(IDENTICAL_CALLS, burst["answers"].get("200", 0), executions, round(burst["seconds"], 2))


def monitoring(stand: Stand, seconds: int, rounds: int) -> dict[str, Load]:
    """One page over and over, by one client, with everything that is measured and with nothing."""
    stand.backend("measured")
    stand.backend("silent", TELEMETRY_ENABLED="false")
    runs = {name: _Rounds(stand, name, "optimised") for name in ("measured", "silent")}
    for name in runs:
        stand.wrk(name, seconds=2, connections=1, mix=HOT)
    for _ in range(rounds):
        for name, run in runs.items():
            run.add(partial(stand.wrk, name, seconds=seconds, connections=1, mix=HOT))
    stand.remove("measured", "silent")
    return {name: run.load() for name, run in runs.items()}


def outages(stand: Stand) -> list[Outage]:
    """Every dependency killed under load; Swarm brings it back."""
    found = []
    for dependency, seconds in ((names.REDIS, 90), (names.POSTGRES, 100), (names.JAEGER, 35)):
        console.say(f"  {dependency} killed")
        # A new replica each time: the breakers start closed.
        stand.backend(OURS)
        stand.wrk(OURS, seconds=WARM_SECONDS, connections=CONNECTIONS, mix=EVERY)
        with stand.killed(dependency, after_seconds=BEFORE_SECONDS) as away:
            seen = _steady(stand, OURS, seconds)
        found.append(outage_of(OURS, f"{dependency} killed", seen, away[0] if away else seconds))
        stand.remove(OURS)
    return found


def soak(stand: Stand, seconds: int) -> Soak:
    """A steady load for `seconds`, watched at the end of each tenth."""
    stand.backend(OURS)
    stand.wrk(OURS, seconds=10, connections=CONNECTIONS)
    watched: list[tuple[float, int, int, int]] = []
    requests = failed = 0
    for number in range(10):
        console.say(f"  part {number + 1} of 10")
        for second in _steady(stand, OURS, seconds // 10):
            requests += len(second["latencies_ms"])
            failed += second["failed_reads"] + second["failed_writes"]
        metrics = stand.metrics(OURS)
        watched.append(
            (
                round(metrics["process_resident_memory_bytes", frozenset()] / 2**20, 1),
                int(metrics["process_open_fds", frozenset()]),
                int(metrics["pidea_postgres_pool_connections", frozenset()]),
                int(metrics["pidea_cache_behind_requests", frozenset()]),
            )
        )
    stand.remove(OURS)
    return Soak(seconds, requests, failed, *zip(*watched, strict=True))


class _Rounds:
    """Rounds of one service, with what its metrics say of them."""

    def __init__(self, stand: Stand, name: str, variant: str) -> None:
        self._stand = stand
        self._name = name
        self._variant = variant
        self._runs: list[dict[str, float]] = []
        self._deltas: list[dict[str, float]] = []

    def add(self, run: Callable[[], dict[str, float]]) -> None:
        """One more."""
        before = self._figures()
        self._runs.append(run())
        after = self._figures()
        self._deltas.append({key: after[key] - before.get(key, 0.0) for key in after})

    def load(self) -> Load:
        """All rounds together."""

        def median(key: str) -> float:
            return statistics.median(run[key] for run in self._runs)

        total = {key: sum(delta[key] for delta in self._deltas) for key in self._deltas[0]}
        requests = sum(run["requests"] for run in self._runs)
        return Load(
            throughput_per_second=statistics.median(run["requests"] / run["seconds"] for run in self._runs),
            mean_ms=median("mean_ms"),
            p50_ms=median("p50_ms"),
            p99_ms=median("p99_ms"),
            requests=int(requests),
            failed=int(sum(run["refused"] + run["broken"] for run in self._runs)),
            hit_ratio=total["hits"] / total["reads"] if total.get("reads") else None,
            origin_calls=int(total["origin"]),
            cpu_ms_per_request=1000 * total["cpu"] / requests if total.get("cpu") else None,
            read_mean_ms=1000 * total["GET_sum"] / total["GET_count"] if total["GET_count"] else None,
            write_mean_ms=1000 * total["POST_sum"] / total["POST_count"] if total["POST_count"] else None,
        )

    def _figures(self) -> dict[str, float]:
        metrics = self._stand.metrics(self._name)
        figures = {"origin": float(_origin_calls(metrics)), "reads": 0.0, "hits": 0.0}
        figures |= {f"{method}_{kind}": 0.0 for method in ("GET", "POST") for kind in ("sum", "count")}
        figures["cpu"] = metrics.get(("process_cpu_seconds_total", frozenset()), 0.0)
        for (name, labels), value in metrics.items():
            said = dict(labels)
            if name == "pidea_cache_reads_total" and said["variant"] == self._variant:
                figures["reads"] += value
                figures["hits"] += value if said["source"] in ("l1", "l2", "l3") else 0.0
            elif name.startswith(DURATION) and said["route"] == MESSAGES and said["variant"] == self._variant:
                kind = name.removeprefix(DURATION)
                if kind in ("sum", "count"):
                    figures[f"{said['method']}_{kind}"] += value
        return figures


def _origin_calls(metrics: dict[tuple[str, frozenset[tuple[str, str]]], float]) -> int:
    total = 0.0
    for (name, labels), value in metrics.items():
        said = dict(labels)
        ours = name == "pidea_dependency_duration_seconds_count" and said["dependency"] == "postgres"
        if name == "comparator_loads_total" or (ours and said["operation"] == "messages"):
            total += value
    return int(total)


def _steady(stand: Stand, name: str, seconds: int) -> list[dict[str, Any]]:
    return steady(stand, stand.host(name), STEADY_PER_SECOND, seconds)


def steady(stand: Stand, host: str, per_second: int, seconds: int) -> list[dict[str, Any]]:
    """What steady.py prints of a load on `host`, by the second."""
    output = stand.run(["python", "steady.py", host, str(per_second), str(seconds)])
    return sorted((json.loads(line) for line in output.splitlines()), key=lambda item: item["second"])


def outage_of(service: str, what: str, seen: Sequence[dict[str, Any]], away_seconds: float) -> Outage:
    """What the lines of steady.py say, when it was done at `BEFORE_SECONDS` and lasted for `away_seconds`."""
    # The load begins a moment after the clock of what is done does: a second on either side belongs to "during".
    begun, back = BEFORE_SECONDS - 1, BEFORE_SECONDS + round(away_seconds) + 1
    parts = {"before": seen[:begun], "during": seen[begun:back], "after": seen[back:]}
    return Outage(service, what, tuple(phase(name, part) for name, part in parts.items() if part), _timeline(seen))


def phase(name: str, part: Sequence[dict[str, Any]]) -> Phase:
    """Seconds of a steady load together."""
    latencies = sorted(value for second in part for value in second["latencies_ms"])

    def total(key: str) -> int:
        return sum(second[key] for second in part)

    return Phase(
        name=name,
        seconds=len(part),
        requests=len(latencies),
        failed_reads=total("failed_reads"),
        failed_writes=total("failed_writes"),
        stale=total("stale"),
        p50_ms=latencies[len(latencies) // 2],
        p99_ms=latencies[int(len(latencies) * 0.99)],
        max_ms=latencies[-1],
    )


def _timeline(seen: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Changes of the breakers, in seconds from what was done to the dependency."""
    changes = []
    known: dict[str, str] = dict.fromkeys(seen[0]["breakers"], "closed")
    for second in seen:
        for dependency, state in second["breakers"].items():
            if known.get(dependency) != state:
                changes.append(f"{dependency} {state} at {second['second'] + 1 - BEFORE_SECONDS} s")
                known[dependency] = state
    return tuple(changes)
