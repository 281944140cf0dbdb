"""A Redis cluster without keys, as after what it caches has changed elsewhere."""

from __future__ import annotations

import json
import time
from typing import Final

from infra import names
from ops.cluster.redis import Exec, Layout, answers, primary
from ops.errors import DeployError, OpsError

_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.2


def empty(members: Layout, run: Exec, *, seconds: float = _SECONDS) -> None:
    """Removes every key, on the primary and by it on its replicas. Raises DeployError where keys are left.

    A replica that does not answer is passed over: it copies its primary before it is one again.
    """
    chief = primary(members, run)
    if chief is None:
        raise DeployError("Redis has not one primary, so that it cannot be emptied; see `./pidea status`.")
    (said,) = answers(run, chief, names.REDIS_PORT, "FLUSHALL")
    if json.loads(said) != "OK":
        raise DeployError(f"{chief} was not emptied: {said}")
    deadline = time.monotonic() + seconds
    while left := [name for name in members.servers if _has_keys(run, name)]:
        if time.monotonic() > deadline:
            raise DeployError(f"Keys are left on {' and '.join(left)} {seconds:.0f} s after {chief} was emptied.")
        time.sleep(_POLL_SECONDS)


def _has_keys(run: Exec, member: str) -> bool:
    try:
        return answers(run, member, names.REDIS_PORT, "DBSIZE") != ["0"]
    except OpsError:
        return False
