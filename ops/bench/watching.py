"""What it costs to watch the stack: the part of its processor time and the memory that go to what only observes."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from infra import names
from infra.spec import MIB
from ops import console, paths
from ops.bench import stand
from ops.bench.measure import CALM_THINK_MS, CONNECTIONS
from ops.bench.report import table
from ops.bench.stand import Mix, Stand

# Of a staging stack. Without them it would serve the same.
OBSERVERS = (
    names.PROMETHEUS,
    names.ALERTMANAGER,
    names.JAEGER,
    names.DASHBOARDS,
    names.REDIS_EXPORTER,
    names.POSTGRES_EXPORTER,
    names.NODE_EXPORTER,
)
MAX_CPU_SHARE = 0.15
MAX_MEMORY_MIB = 400.0
DOCUMENT, MARKER = paths.REPO / "docs" / "dashboards.md", "watching"

_INSTANCE = "bench-watching"
_WARM_SECONDS = 20
# No user of the benchmark is sent away for asking too often.
_CONFIG: Mapping[str, Mapping[str, Any]] = {"pidea:app": {"rateLimitPerSecond": 0}}
_LOADS: Mapping[str, Mix] = {
    f"{CONNECTIONS} clients that think for {CALM_THINK_MS} ms": Mix(think_ms=CALM_THINK_MS),
    f"{CONNECTIONS} clients that do not think": Mix(),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """Medians over the rounds of one load. `cpu_cores` has processors in use and `memory_mib` the memory that cannot
    be given up, by service."""

    name: str
    requests_per_second: float
    failed: int
    cpu_cores: Mapping[str, float]
    memory_mib: Mapping[str, float]

    @property
    def cpu_share(self) -> float:
        """The observers' part of the whole stack's processor time, 0 to 1."""
        return sum(self.cpu_cores[name] for name in OBSERVERS) / sum(self.cpu_cores.values())

    @property
    def observers_mib(self) -> float:
        """The observers' memory together."""
        return sum(self.memory_mib[name] for name in OBSERVERS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watching:
    """What was measured. `is_cheap` holds by the load at the machine's limit, and at any load for memory."""

    loads: Sequence[Load]

    @property
    def is_cheap(self) -> bool:
        """Whether it costs no more than is promised."""
        return self.loads[-1].cpu_share <= MAX_CPU_SHARE and all(
            load.observers_mib <= MAX_MEMORY_MIB for load in self.loads
        )


def run(*, seconds: int, rounds: int, keep: bool) -> Watching:
    """Brings a stack of its own up and loads its edge; `seconds` a round, the loads in turns."""
    with stand.opened(keep=keep, instance=_INSTANCE, config=_CONFIG) as opened:
        opened.seed()
        _load(opened, Mix(skew=0.0, writes=0.0), _WARM_SECONDS)
        seen: dict[str, list[Load]] = {name: [] for name in _LOADS}
        for number in range(rounds):
            with console.step(f"Round {number + 1} of {rounds}"):
                for name, mix in _LOADS.items():
                    seen[name].append(_round(opened, name, mix, seconds))
        return Watching(loads=[_median(rounds_of) for rounds_of in seen.values()])


def page(measured: Watching) -> str:
    """A table for people."""
    names_of = sorted(measured.loads[0].cpu_cores, key=lambda name: (name not in OBSERVERS, name))

    def row(name: str) -> Sequence[object]:
        cells = (f"{load.cpu_cores[name]:.3f}, {load.memory_mib[name]:.0f} MiB" for load in measured.loads)
        return (f"{name}{'' if name in OBSERVERS else ' (serves)'}", *cells)

    def total(load: Load) -> str:
        return f"**{load.cpu_share:.1%} of all, {load.observers_mib:.0f} MiB**"

    rates = (f"{load.requests_per_second:.0f} a second, {load.failed} failed" for load in measured.loads)
    return table(
        ("processors in use, memory", *(load.name for load in measured.loads)),
        [
            ("requests", *rates),
            ("**all that observe**", *(total(load) for load in measured.loads)),
            *(row(name) for name in names_of),
        ],
    )


def _round(opened: Stand, name: str, mix: Mix, seconds: int) -> Load:
    containers = opened.containers_of_stack()
    before = {container: opened.cpu_seconds(container) for container in containers}
    answer = _load(opened, mix, seconds)
    cpu: dict[str, float] = {}
    memory: dict[str, float] = {}
    for container, service in containers.items():
        cpu[service] = cpu.get(service, 0.0) + (opened.cpu_seconds(container) - before[container]) / seconds
        memory[service] = memory.get(service, 0.0) + opened.memory_bytes(container) / MIB
    return Load(
        name=name,
        requests_per_second=answer["requests"] / seconds,
        failed=answer["refused"] + answer["broken"],
        cpu_cores=cpu,
        memory_mib=memory,
    )


def _load(opened: Stand, mix: Mix, seconds: int) -> Any:
    load = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout=10s", "-smix.lua"]
    output = opened.run([*load, f"http://{opened.edge}:8080"], {**mix.environment, "CLIENT_ID": "bench"})
    return json.loads(output.splitlines()[-1])


def _median(rounds: Sequence[Load]) -> Load:
    def middle(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
        return {name: statistics.median(value[name] for value in values) for name in values[0]}

    return Load(
        name=rounds[0].name,
        requests_per_second=statistics.median(load.requests_per_second for load in rounds),
        failed=sum(load.failed for load in rounds),
        cpu_cores=middle([load.cpu_cores for load in rounds]),
        memory_mib=middle([load.memory_mib for load in rounds]),
    )
