"""Commands in a node's container, and the same thing done to all nodes at once."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable
from typing import TypeVar

import docker

from ops.errors import HostError

_END = "-- end --"
_ATTEMPTS = 10
Item = TypeVar("Item")
Result = TypeVar("Result")


def run(api: docker.APIClient, container: str, *command: str) -> str:
    """What `command` printed. Raises HostError with what it said where it failed, or could not be run."""
    code, said = attempt(api, container, *command)
    if code:
        raise HostError(f"`{' '.join(command)}` failed in {container}: {said.strip() or f'exit code {code}'}")
    return said


def attempt(api: docker.APIClient, container: str, *command: str) -> tuple[int, str]:
    """The exit code of `command`, and what it printed, errors too. Raises HostError where the node cannot run any."""
    try:
        started = api.exec_create(container, list(command))["Id"]
        said: bytes = api.exec_start(started)
        return int(api.exec_inspect(started)["ExitCode"] or 0), said.decode(errors="replace")
    except docker.errors.APIError as error:
        raise HostError(f"{container} runs no commands now: {error.explanation or error}.") from error


def ask(api: docker.APIClient, container: str, script: str) -> str:
    """What `script`, which changes nothing, printed; whole, or HostError.

    On a machine under load Docker sometimes ends an exec before it has handed on what was printed, and says nothing.
    """
    for _ in range(_ATTEMPTS):
        said, found, _ = run(api, container, "sh", "-c", f"{script}\necho {_END}").rpartition(_END)
        if found:
            return said
    raise HostError(f"What {container} says does not arrive here; run the command again.")


def at_once(act: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`act` on every item at the same time; the results in the items' order, or the first error."""
    every = list(items)
    with concurrent.futures.ThreadPoolExecutor(max(1, len(every))) as pool:
        return list(pool.map(act, every))
