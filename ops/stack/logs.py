"""A service's log lines, each with the replica that wrote it.

They are asked for task by task. The log of a whole service stands still for ever, at every third look or so, where two
of its replicas run on one node: Docker sends what both of them wrote down one gRPC stream at once, which may not be.
"""

from __future__ import annotations

import queue
import re
import struct
import threading
import time
from collections.abc import Iterator
from typing import TypeVar

import docker
import requests

from ops import console
from ops.errors import UsageError
from ops.stack import swarm

T = TypeVar("T")

_SILENCE_SECONDS = 20.0
_NEW_TASKS_SECONDS = 2.0
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
# Before each piece: the stream that it was written to, three bytes of nothing, how many bytes follow.
_HEADER = struct.Struct(">B3xI")
# The stream of what Docker itself has to say, as of a node that cannot be reached.
_DOCKERS_OWN = 3


def lines(api: docker.APIClient, instance: str, logical: str, *, follow: bool, tail: int) -> Iterator[str]:
    """The last `tail` lines of each replica in the order of time; with `follow`, as they come, and new ones after them.

    Raises UsageError for a service that the stack does not have, and names those that it has.
    """
    running = swarm.services(api, instance)
    service = running.get(f"{instance}-{logical}")
    if service is None:
        known = ", ".join(sorted(name.removeprefix(f"{instance}-") for name in running))
        what = f"there are: {known}" if known else "the stack is not up"
        raise UsageError(f"There is no service {logical!r}; {what}.")
    if follow:
        yield from _followed(api, instance, logical, tail)
        return
    # In UTC and of one length: in the order of text they are in that of time.
    found = [line for task in service.tasks for line in _written(api, logical, task, tail=str(tail))]
    yield from (line for _, line in sorted(found, key=lambda one: one[0]))


def of_trace(api: docker.APIClient, instance: str, trace_id: str) -> Iterator[str]:
    """Every line of every service that names the trace, in the order of time. Raises UsageError for what is no id."""
    if not _TRACE_ID.fullmatch(trace_id):
        raise UsageError(f"{trace_id!r} is no trace id: it has 32 hexadecimal digits, as in the header traceparent.")
    found: list[tuple[str, str]] = []
    for name, service in swarm.services(api, instance).items():
        logical = name.removeprefix(f"{instance}-")
        for task in service.tasks:
            found += [(at, line) for at, line in _written(api, logical, task) if trace_id in line]
    yield from (line for _, line in sorted(found))


def _followed(api: docker.APIClient, instance: str, logical: str, tail: int) -> Iterator[str]:
    """What tasks wrote and write, also those that begin meanwhile, until the service is gone."""
    arrived: queue.SimpleQueue[tuple[str, str] | Exception | None] = queue.SimpleQueue()
    begun: set[str] = set()
    past = str(tail)
    while service := swarm.services(api, instance).get(f"{instance}-{logical}"):
        for task in service.tasks:
            if task.container_id and task.id not in begun:
                begun.add(task.id)
                _pour(_written(api, logical, task, tail=past, follow=True), arrived)
        past = "all"  # of those that were not there before
        look_again_at = time.monotonic() + _NEW_TASKS_SECONDS
        while (left_seconds := look_again_at - time.monotonic()) > 0:
            try:
                found = arrived.get(timeout=left_seconds)
            except queue.Empty:
                break
            if isinstance(found, Exception):
                raise found
            if found is not None:
                yield found[1]


def _written(
    api: docker.APIClient, logical: str, task: swarm.Task, *, tail: str = "all", follow: bool = False
) -> Iterator[tuple[str, str]]:
    """When a task wrote what. Nothing of one that has no container: Docker would wait for it."""
    if not task.container_id:
        return
    label = f"{logical}.{task.slot or task.id[:8]}"
    pieces = _pieces(api, task.id, tail=tail, follow=follow)
    unfinished = b""
    for stream, piece in pieces if follow else until_silent(pieces, _SILENCE_SECONDS):
        if stream == _DOCKERS_OWN:
            console.say(f"{label}: {piece.decode(errors='replace').strip()}")
            continue
        *complete, unfinished = (unfinished + piece).split(b"\n")
        for line in complete:
            at, _, text = line.decode(errors="replace").partition(" ")
            yield at, f"{label} | {text}"


def _pieces(api: docker.APIClient, task_id: str, *, tail: str, follow: bool) -> Iterator[tuple[int, bytes]]:
    """What Docker sends of a task's log, each piece with its stream; docker-py has no call for it."""
    answer = api.get(
        f"{api.base_url}/v{api.api_version}/tasks/{task_id}/logs",
        params={"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1" if follow else "0", "tail": tail},
        stream=True,
        timeout=api.timeout,
    )
    if answer.status_code == requests.codes.not_found:
        return  # forgotten by the swarm since it was listed
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        docker.errors.create_api_error_from_http_exception(error)
    while len(header := answer.raw.read(_HEADER.size)) == _HEADER.size:
        stream, size_bytes = _HEADER.unpack(header)
        yield stream, answer.raw.read(size_bytes)


def until_silent(pieces: Iterator[T], seconds: float) -> Iterator[T]:
    """The pieces until their end, or until none has come for `seconds`, which is said: some may be missing then.

    Docker does not always end the log of a task whose node is lost, and its client waits for ever.
    """
    arrived: queue.SimpleQueue[T | Exception | None] = queue.SimpleQueue()
    _pour(pieces, arrived)
    while True:
        try:
            piece = arrived.get(timeout=seconds)
        except queue.Empty:
            console.say(f"Docker sent no more lines for {seconds:.0f} s and no end of them; some may be missing.")
            return
        if isinstance(piece, Exception):
            raise piece
        if piece is None:
            return
        yield piece


def _pour(items: Iterator[T], into: queue.SimpleQueue[T | Exception | None]) -> None:
    """Puts the items there as they come, at last their failure or None. Ends with the client's connection at most."""

    def run() -> None:
        try:
            for item in items:
                into.put(item)
            into.put(None)
        except Exception as error:  # whatever it is, the reader gets it
            into.put(error)

    threading.Thread(target=run, daemon=True, name="log reader").start()
