"""Reads what the clients inside tell, as they tell it, from every node's engine: a node may be lost afterwards."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

from ops.chaos import clients
from ops.chaos.records import Outcome, Sample, Store, Write
from ops.chaos.target import SERVICE_LABEL, SILENT, Node, Target

_PAUSE_SECONDS = 0.5
# Four samples come each second; an engine that gives none for this long is asked anew.
_SILENCE_SECONDS = 10.0
# Asked anew, it begins so much before the last line that was read.
_OVERLAP_SECONDS = 2.0


class Followed:
    """Everything told so far; may be read while it grows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: list[Write] = []
        self._samples: list[Sample] = []

    def take(self, slot: int, line: str) -> float:
        """One line of a client on node `slot`; gives its time, 0 for what is no record of ours (a traceback)."""
        try:
            told = json.loads(line)
            record = parse(slot, told)
        except (ValueError, KeyError, TypeError):
            return 0.0
        with self._lock:
            if isinstance(record, Write):
                self._writes.append(record)
            elif record is not None:
                self._samples.append(record)
        return 0.0 if record is None else record.at

    def between(self, begin: float, end: float) -> tuple[tuple[Write, ...], tuple[Sample, ...]]:
        """What was told of that time."""
        with self._lock:
            writes = tuple(write for write in self._writes if begin <= write.at <= end)
            samples = tuple(sample for sample in self._samples if begin <= sample.at <= end)
        return writes, samples

    def latest(self) -> dict[int, Sample]:
        """Each node's newest sample."""
        with self._lock:
            return {sample.slot: sample for sample in self._samples[-500:]}


def parse(slot: int, told: dict[str, Any]) -> Write | Sample | None:
    """A line as a record; None for what is neither. Raises KeyError or ValueError for a damaged one."""
    match told["kind"]:
        case "write":
            return Write(
                store=Store(told["store"]),
                slot=slot,
                writer=told["writer"],
                number=told["number"],
                at=told["at"],
                outcome=Outcome(told["outcome"]),
                server=told["server"],
                error=told["error"],
            )
        case "sample":
            return Sample(slot, told["at"], told["redis"], told["sentinels"], told["postgres"], told["patroni"])
    return None


class _Read:
    """What was read of a container: until when by its own clock, and which lines, of which some come again."""

    def __init__(self) -> None:
        self.at = 0.0
        self._lines: set[int] = set()

    def is_new(self, line: str) -> bool:
        """Takes note of a line; whether it was not read before."""
        number = hash(line)
        if number in self._lines:
            return False
        self._lines.add(number)
        return True


class Follower:
    """Follows from its entering to its leaving."""

    def __init__(self, target: Target) -> None:
        self.followed = Followed()
        self._target = target
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(node,), name=f"follow-{node.name}", daemon=True)
            for node in target.nodes
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * _SILENCE_SECONDS)

    def _follow(self, node: Node) -> None:
        read: dict[str, _Read] = {}
        while not self._over.is_set():
            with contextlib.suppress(*SILENT, ValueError):
                for container in self._containers(node):
                    known = read.setdefault(container, _Read())
                    for line in self._lines(node, container, known.at - _OVERLAP_SECONDS):
                        if known.is_new(line):
                            known.at = max(known.at, self.followed.take(node.slot, line))
            time.sleep(_PAUSE_SECONDS)

    def _containers(self, node: Node) -> list[str]:
        filters = {"label": f"{SERVICE_LABEL}={clients.service(self._target, node.slot)}"}
        with self._target.engine(node) as api:
            # The oldest first; ended ones too, for what they told last.
            return [str(found["Id"]) for found in reversed(api.containers(all=True, filters=filters))]

    def _lines(self, node: Node, container: str, since: float) -> Iterator[str]:
        with self._target.engine(node, _SILENCE_SECONDS) as api:
            rest = b""
            for chunk in api.logs(container, stream=True, follow=True, stderr=False, since=max(1, int(since))):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
                if self._over.is_set():
                    return
