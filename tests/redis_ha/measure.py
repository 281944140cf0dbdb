"""Faults of a real Redis cluster under a writer, and what they cost.

`python -m tests.redis_ha.measure [FAULT…] [--runs N]` prints a table: median and worst of the write gap, acknowledged
writes that are missing afterwards, writes that an isolated primary took, and how long the cluster needed to be whole
again after the fault had ended. A busy machine spoils the figures: HAREDIS_CGROUP_PARENT names a control group for the
containers, to be given a share of the processors that is its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from infra import names
from ops.cluster import redis as cluster
from ops.cluster.redis_hand_over import hand_over
from tests.redis_ha.rig import CLIENT_IMAGE, GROUP, INSTANCE, NETWORK, Rig, docker

RESTART_SECONDS = 2.0
HOLD_SECONDS = 12.0
STEADY_SECONDS = 2.0
PASSWORD_FILE = names.secret_path(names.REDIS_ADMIN_PASSWORD)


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One write: its number, when it was sent and answered (seconds), and the answer."""

    id: int
    at: float
    done: float
    answer: str


class Writer:
    """Writes to the primary that the sentinels name, or to `beside` alone, from inside of that server's network."""

    def __init__(self, rig: Rig, run: str, beside: str | None = None) -> None:
        self.key = f"pidea:{run}"
        self._name = f"{INSTANCE}-writer-{run}"
        sentinels = ",".join(rig.container(name) for name in rig.sentinels)
        command = ["python3", "-u", "/usr/local/bin/writer.py", sentinels, PASSWORD_FILE, run, "300"]
        mount = f"{rig.secret_file(names.REDIS_ADMIN_PASSWORD)}:{PASSWORD_FILE}:ro"
        network = f"container:{rig.container(beside)}" if beside else NETWORK
        start = ["docker", "run", "--rm", "--name", self._name, "-v", mount, "--network", network]
        start += [*GROUP, *([] if beside else rig.hosts), CLIENT_IMAGE]
        if beside:
            command.append("127.0.0.1")
        self._process = subprocess.Popen([*start, *command], stdout=subprocess.PIPE, text=True)

    def stop(self) -> list[Attempt]:
        docker("kill", self._name, check=False)
        said, _ = self._process.communicate(timeout=30)
        return [Attempt(**json.loads(line)) for line in said.splitlines() if line.endswith("}")]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of one run. Times in seconds; `recovery_seconds` from the end of the fault until the cluster is whole."""

    gap_seconds: float
    acked: int
    lost: int
    isolated_seconds: float
    isolated_writes: int
    both_seconds: float
    recovery_seconds: float


def longest_gap(attempts: list[Attempt], started: float) -> float:
    """Between two acknowledged writes; a writer that never came back counts until its last attempt."""
    times = [a.done for a in attempts if a.done >= started - 1 and a.answer == "acked"]
    times += [a.done for a in attempts[-1:]]
    return max((b - a for a, b in itertools.pairwise(times)), default=float("inf"))


def kill(rig: Rig, primary: str) -> None:
    docker("kill", rig.container(primary))
    time.sleep(RESTART_SECONDS)
    rig.recreate(primary)


def stop(rig: Rig, primary: str) -> None:
    docker("stop", rig.container(primary))
    time.sleep(RESTART_SECONDS)
    rig.recreate(primary)


def freeze(rig: Rig, primary: str) -> None:
    docker("pause", rig.container(primary))
    time.sleep(HOLD_SECONDS)
    docker("unpause", rig.container(primary))


def partition(rig: Rig, primary: str) -> None:
    for name in rig.on_node_of(primary):
        docker("network", "disconnect", NETWORK, rig.container(name))
    time.sleep(HOLD_SECONDS)
    for name in rig.on_node_of(primary):
        rig.connect(name)


def node(rig: Rig, primary: str) -> None:
    """Gone without a word: the network first, so that no connection is closed."""
    for name in rig.on_node_of(primary):
        docker("network", "disconnect", NETWORK, rig.container(name))
    for name in rig.on_node_of(primary):
        docker("kill", rig.container(name))
    time.sleep(HOLD_SECONDS)
    for name in rig.on_node_of(primary):
        rig.recreate(name)


def everything(rig: Rig, _primary: str) -> None:
    for name in rig.members:
        docker("kill", rig.container(name))
    time.sleep(RESTART_SECONDS)
    for name in rig.members:
        rig.recreate(name)


def planned(rig: Rig, _primary: str) -> None:
    print(hand_over(rig.layout, rig.run), file=sys.stderr)


FAULTS: dict[str, Callable[[Rig, str], None]] = {
    "kill": kill,
    "stop": stop,
    "node": node,
    "partition": partition,
    "freeze": freeze,
    "planned": planned,
    "everything": everything,
}


def measure(rig: Rig, fault: str, run: str) -> Outcome:
    """One run; leaves the cluster whole."""
    rig.wait(lambda: not cluster.problems(rig.layout, rig.run), "the cluster is whole")
    primary = cluster.primary(rig.layout, rig.run)
    assert primary
    outside = Writer(rig, run)
    isolated = Writer(rig, f"{run}-isolated", beside=primary) if fault in {"partition", "freeze"} else None
    time.sleep(STEADY_SECONDS)
    started = time.time()
    FAULTS[fault](rig, primary)
    recovery = rig.wait(lambda: not cluster.problems(rig.layout, rig.run), "the cluster is whole again", 90)
    time.sleep(STEADY_SECONDS)
    inside = isolated.stop() if isolated else []
    attempts = outside.stop()
    acked = [a for a in attempts if a.answer == "acked"]
    now = cluster.primary(rig.layout, rig.run)
    assert now
    present = {int(item) for item in rig.redis(now, "LRANGE", outside.key, "0", "-1").split()}
    present_inside = {
        int(item) for item in (rig.redis(now, "LRANGE", f"{outside.key}-isolated", "0", "-1").split() if inside else [])
    }
    lost = sum(a.id not in present for a in acked)
    lost += sum(a.id not in present_inside for a in inside if a.answer == "acked")
    alone = [a for a in inside if a.answer == "unacked" and a.id not in present_inside]
    back = min((a.done for a in acked if a.at > started + 0.3), default=started)
    after = sorted(a.at for a in acked if a.at > started)
    resumed = next((b for a, b in itertools.pairwise(after) if b - a > 1), back)
    return Outcome(
        gap_seconds=longest_gap(attempts, started),
        acked=len(acked),
        lost=lost,
        isolated_seconds=max((a.done for a in alone), default=started) - started,
        isolated_writes=len(alone),
        both_seconds=max(0.0, max((a.done for a in alone), default=0.0) - resumed) if alone else 0.0,
        recovery_seconds=recovery,
    )


def row(fault: str, found: list[Outcome]) -> str:
    def both(figure: Callable[[Outcome], float], digits: int = 2) -> str:
        values = [figure(outcome) for outcome in found]
        return f"{statistics.median(values):.{digits}f} / {max(values):.{digits}f}"

    cells = [
        fault,
        str(len(found)),
        both(lambda o: o.gap_seconds),
        f"{sum(o.lost for o in found)} of {sum(o.acked for o in found)}",
        both(lambda o: o.isolated_seconds),
        both(lambda o: o.isolated_writes, 0),
        both(lambda o: o.both_seconds),
        both(lambda o: o.recovery_seconds, 1),
    ]
    return "| " + " | ".join(cells) + " |"


COLUMNS = (
    "fault",
    "runs",
    "write gap, s: median / worst",
    "acknowledged writes lost",
    "isolated primary wrote for, s",
    "discarded writes",
    "while another did, s",
    "whole again after, s",
)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("faults", nargs="*", metavar="FAULT")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--keep", action="store_true", help="leave the containers running")
    chosen = options.parse_args()
    Rig.build()
    rig = Rig()
    try:
        rig.up()
        print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
        for fault in chosen.faults or list(FAULTS):
            found = []
            for number in range(chosen.runs):
                found.append(measure(rig, fault, f"{fault}-{number}-{int(time.time())}"))
                print(f"  {fault} {number + 1}: {found[-1]}", file=sys.stderr, flush=True)
            print(row(fault, found), flush=True)
    finally:
        if chosen.keep:
            Path("/tmp/haredis-logs").mkdir(exist_ok=True)
            for name in rig.members:
                Path(f"/tmp/haredis-logs/{name}").write_text(rig.log(name))
        else:
            rig.down()


if __name__ == "__main__":
    main()
