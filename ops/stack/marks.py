"""What happened to a stack, told to its dashboards: every graph marks it."""

from __future__ import annotations

import time
from typing import Final, Literal

from ops import console
from ops.stack import door, history

# An edge that has just come up finds the viewer after some health checks.
_PATIENCE_SECONDS: Final = 15.0
_MOST_CHARACTERS: Final = 120


def deployed(call: door.Call, deployment: history.Deployment) -> None:
    """A deployment went through."""
    back = f", back to {deployment.restores}" if deployment.restores else ""
    tell(
        call, "deployment", f"deployment {deployment.number}{back}", digest=deployment.digest, author=deployment.author
    )


def tell(
    call: door.Call,
    kind: Literal["deployment", "chaos"],
    title: str,
    *,
    digest: str = "",
    author: str = "",
    timestamp_seconds: float | None = None,
) -> None:
    """Tells it through the operators' door. Where nobody takes it says so: a missing mark is no reason to fail."""
    event = {
        "kind": kind,
        "title": title[:_MOST_CHARACTERS],
        "digest": digest,
        "author": author[:_MOST_CHARACTERS],
        "timestamp_seconds": time.time() if timestamp_seconds is None else timestamp_seconds,
    }
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            call("POST", "dashboards/api/events", event)
            return
        except (OSError, ValueError) as error:
            if time.monotonic() > give_up:
                console.say(f"[yellow]![/yellow] The dashboards do not mark this {kind}: {error}")
                return
        time.sleep(1.0)
