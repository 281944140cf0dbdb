"""Pulling images where a registry can be reached, and finding out quickly where none can."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import docker
import requests

from ops.host.engine import Engine

_PROBE_TIMEOUT_SECONDS = 5.0
_STALL_TIMEOUT_SECONDS = 60.0  # between two messages of a pull
_FAILURES = (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError)


def pull(engine: Engine, reference: str, progress: Callable[[str, str], None]) -> str | None:
    """The id of the image `reference` (NAME:TAG), pulled where that works, else the engine's own; else None."""
    if offers(engine, reference):
        _try_to_pull(engine, reference, progress)
    found = inspect(engine, reference)
    return str(found["Id"]) if found else None


def inspect(engine: Engine, reference: str) -> dict[str, Any] | None:
    """What the engine says of an image that it has, else None."""
    with contextlib.closing(engine.client()) as client:
        try:
            found: dict[str, Any] = client.inspect_image(reference)  # type: ignore[no-untyped-call]
        except docker.errors.ImageNotFound:
            return None
    return found


def offers(engine: Engine, reference: str) -> bool:
    """Whether a registry answers for `reference`, within seconds.

    The engine itself asks, so that its mirrors, proxy and credentials count, not this process's.
    """
    try:
        with contextlib.closing(engine.client(_PROBE_TIMEOUT_SECONDS)) as client:
            client.inspect_distribution(reference)  # type: ignore[no-untyped-call]
    except _FAILURES:
        return False
    return True


def _try_to_pull(engine: Engine, reference: str, progress: Callable[[str, str], None]) -> None:
    progress("images", f"pulling {reference}")
    name, _, tag = reference.rpartition(":")
    try:
        with contextlib.closing(engine.client(_STALL_TIMEOUT_SECONDS)) as client:
            for message in client.pull(name, tag=tag, stream=True, decode=True):
                if "error" in message:
                    progress("images", f"{reference} could not be pulled: {message['error']}")
                    return
    except _FAILURES as error:
        progress("images", f"{reference} could not be pulled: {error}")
