"""A service's log lines, each with the replica that wrote it."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterator, Mapping

import docker

from ops import console
from ops.errors import UsageError
from ops.stack import swarm

_TASK_KEY = "com.docker.swarm.task.id"
_SILENCE_SECONDS = 20.0
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def lines(api: docker.APIClient, instance: str, logical: str, *, follow: bool, tail: int) -> Iterator[str]:
    """The last `tail` lines of each replica, then, with `follow`, new ones as they come.

    Raises UsageError for a service that the stack does not have, and names those that it has.
    """
    running = swarm.services(api, instance)
    service = running.get(f"{instance}-{logical}")
    if service is None:
        known = ", ".join(sorted(name.removeprefix(f"{instance}-") for name in running))
        what = f"there are: {known}" if known else "the stack is not up"
        raise UsageError(f"There is no service {logical!r}; {what}.")
    slots = {task.id: task.slot for task in service.tasks}
    for line in _raw(api, service.id, follow=follow, tail=str(tail)):
        yield _labelled(line, logical, slots)


def of_trace(api: docker.APIClient, instance: str, trace_id: str) -> Iterator[str]:
    """Every line of every service that names the trace, in the order of time. Raises UsageError for what is no id."""
    if not _TRACE_ID.fullmatch(trace_id):
        raise UsageError(f"{trace_id!r} is no trace id: it has 32 hexadecimal digits, as in the header traceparent.")
    found: list[tuple[str, str]] = []
    for name, service in swarm.services(api, instance).items():
        slots = {task.id: task.slot for task in service.tasks}
        for line in _raw(api, service.id, timestamps=True):
            if trace_id in line:
                # In UTC and of one length: in the order of text they are in that of time.
                at, _, rest = line.partition(" ")
                found.append((at, _labelled(rest, name.removeprefix(f"{instance}-"), slots)))
    yield from (line for _, line in sorted(found))


def _raw(
    api: docker.APIClient, service_id: str, *, follow: bool = False, tail: str = "all", timestamps: bool = False
) -> Iterator[str]:
    buffered = b""
    chunks = api.service_logs(
        service_id,
        details=True,
        stdout=True,
        stderr=True,
        follow=follow,
        tail=tail,
        timestamps=timestamps,
        is_tty=False,
    )
    for chunk in chunks if follow else until_silent(chunks, _SILENCE_SECONDS):
        *complete, buffered = (buffered + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in complete)


def until_silent(chunks: Iterator[bytes], seconds: float) -> Iterator[bytes]:
    """The chunks until their end, or until none has come for `seconds`, which is said: some may be missing then.

    Docker does not always end the logs of a service whose tasks changed, and its client waits for ever.
    """
    arrived: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for chunk in chunks:
                arrived.put(chunk)
            arrived.put(None)
        except Exception as error:  # whatever it is, the reader gets it
            arrived.put(error)

    # It ends with the client's connection at the latest.
    threading.Thread(target=read, daemon=True, name="service logs").start()
    while True:
        try:
            chunk = arrived.get(timeout=seconds)
        except queue.Empty:
            console.say(f"Docker sent no more lines for {seconds:.0f} s and no end of them; some may be missing.")
            return
        if isinstance(chunk, Exception):
            raise chunk
        if chunk is None:
            return
        yield chunk


def _labelled(line: str, logical: str, slots: Mapping[str, int]) -> str:
    details, _, text = line.partition(" ")
    labels = dict(pair.partition("=")[::2] for pair in details.split(","))
    if _TASK_KEY not in labels:
        return line
    slot = slots.get(labels[_TASK_KEY], 0)
    return f"{logical}.{slot or labels[_TASK_KEY][:8]} | {text}"
