"""Breaks a running cluster on purpose and writes down how long nothing could be written, and what was lost.

`python -m tests.patroni.measure [--runs 5] [--write docs/measured/postgres-ha.md] [FAULT ...]`
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from infra import names
from ops.cluster import postgres
from ops.cluster.members import MemberError
from ops.errors import OpsError
from tests.patroni.stand import Stand
from tests.patroni.writer import Writers

SETTLE_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Run:
    """`gap_seconds`: the longest time without an acknowledged write; `healed_seconds`: fault to all invariants."""

    gap_seconds: float
    healed_seconds: float
    written: int
    lost: int


@dataclasses.dataclass(frozen=True)
class Fault:
    """`act` breaks the cluster, given the primary and a synchronous standby, and gives what mends it."""

    what: str
    goal_seconds: float
    act: Callable[[Stand, str, str], Callable[[], None] | None]


def kill_primary(stand: Stand, primary: str, _: str) -> None:
    stand.kill(primary)


def stop_primary(stand: Stand, primary: str, _: str) -> Callable[[], None]:
    stand.stop(primary)
    return lambda: stand.start(primary)


def lose_node(stand: Stand, primary: str, _: str) -> Callable[[], None]:
    """The primary's and its etcd member's node: both gone without a word."""
    gone = (primary, f"etcd-{primary.rpartition('-')[2]}")
    for service in gone:
        stand.disconnect(service)

    def back() -> None:
        time.sleep(20)
        for service in gone:
            stand.kill(service, for_good=True)
            stand.start(service)

    return back


def partition_primary(stand: Stand, primary: str, _: str) -> Callable[[], None]:
    """The primary's container alone, which runs on and comes back as it was."""
    stand.disconnect(primary)

    def back() -> None:
        time.sleep(20)
        stand.connect(primary)

    return back


def kill_standby(stand: Stand, _: str, standby: str) -> None:
    stand.kill(standby)


def hand_over(stand: Stand, _: str, __: str) -> None:
    postgres.hand_over(stand.run, stand.members, say=lambda _: None)


FAULTS = {
    "kill": Fault("primary's container killed", 8, kill_primary),
    "stop": Fault("primary's container stopped", 8, stop_primary),
    "node": Fault("primary's node lost (with its etcd member)", 15, lose_node),
    "partition": Fault("primary alone cut off for 20 s", 15, partition_primary),
    "standby": Fault("synchronous standby killed", 8, kill_standby),
    "planned": Fault("planned hand-over", 2, hand_over),
}


def settle(stand: Stand, seconds: float = SETTLE_SECONDS) -> tuple[str, str]:
    """Waits for all invariants; the primary and a synchronous standby."""
    deadline = time.monotonic() + seconds
    while True:
        members = postgres.look_at_all(stand.run, stand.members)
        found = postgres.problems(members)
        primary = postgres.primary_of(members)
        if primary is not None and not found and _is_agreed(stand, *postgres.candidate(members)):
            return postgres.candidate(members)
        if time.monotonic() > deadline:
            raise AssertionError("not healed:\n" + "\n".join(found))
        time.sleep(0.5)


def _is_agreed(stand: Stand, primary: str, standby: str) -> bool:
    """Whether etcd names the standby too: a moment after a promotion it has every write, but may not succeed yet."""
    for service in stand.services:
        if service.startswith(names.ETCD):
            try:
                said = stand.run(service, ("etcdctl", "get", "--print-value-only", f"/pidea/{stand.prefix}/sync"))
            except MemberError:
                continue
            agreed = json.loads(said or "{}")
            return agreed.get("leader") == primary and standby in str(agreed.get("sync_standby")).split(",")
    return False


def run(stand: Stand, fault: Fault) -> Run:
    """One fault under load."""
    primary, standby = settle(stand)
    with Writers(stand.addresses, stand.passwords["postgres-app-password"]) as writers:
        time.sleep(1)
        began = time.monotonic()
        mend = fault.act(stand, primary, standby)
        acted = time.monotonic()
        writers.wait_for_writes(acted, 60)
        if mend is not None:
            mend()
        mended = time.monotonic() if mend else began
        settle(stand)
        healed = time.monotonic() - mended
        time.sleep(1)
    lost = asyncio.run(writers.missing())
    return Run(writers.gap_seconds(began), healed, len(writers.acknowledged), len(lost))


def table(results: dict[str, list[Run]]) -> str:
    lines = [
        "| fault | runs | write gap, median / worst (goal) | healed, median / worst | acknowledged writes | lost |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        gaps, healed = [r.gap_seconds for r in runs], [r.healed_seconds for r in runs]
        lines.append(
            f"| {FAULTS[name].what} | {len(runs)} | {statistics.median(gaps):.1f} / {max(gaps):.1f} s"
            f" (≤ {FAULTS[name].goal_seconds:g} s) | {statistics.median(healed):.1f} / {max(healed):.1f} s"
            f" | {sum(r.written for r in runs)} | {sum(r.lost for r in runs)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", default=list(FAULTS), choices=[*FAULTS, []])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prefix", default="hapg")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    stand = Stand(options.prefix, 97)
    results: dict[str, list[Run]] = {}
    # Ended in whatever way, it leaves nothing behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        began = time.monotonic()
        stand.up()
        primary, standby = settle(stand, 240)
        print(f"up in {time.monotonic() - began:.0f} s: primary {primary}, synchronous {standby}", flush=True)
        for name in options.faults or FAULTS:
            for _ in range(options.runs):
                result = run(stand, FAULTS[name])
                results.setdefault(name, []).append(result)
                print(name, result, flush=True)
    except (AssertionError, OpsError, RuntimeError) as error:
        print(error, file=sys.stderr)
        for service in stand.services:
            print(f"===== {service}\n{stand.logs(service)[-5000:]}", file=sys.stderr)
        return 1
    finally:
        stand.close()
        if results:
            print(table(results))
    if options.write:
        options.write.write_text(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
