"""A service's log lines, each with the replica that wrote it."""

from __future__ import annotations

from collections.abc import Iterator

import docker

from ops.errors import UsageError
from ops.stack import swarm

_TASK_KEY = "com.docker.swarm.task.id"


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
    buffered = b""
    for chunk in api.service_logs(
        service.id, details=True, stdout=True, stderr=True, follow=follow, tail=str(tail), is_tty=False
    ):
        *complete, buffered = (buffered + chunk).split(b"\n")
        for line in complete:
            yield _labelled(line.decode(errors="replace"), logical, slots)


def _labelled(line: str, logical: str, slots: dict[str, int]) -> str:
    details, _, text = line.partition(" ")
    labels = dict(pair.partition("=")[::2] for pair in details.split(","))
    if _TASK_KEY not in labels:
        return line
    slot = slots.get(labels[_TASK_KEY], 0)
    return f"{logical}.{slot or labels[_TASK_KEY][:8]} | {text}"
