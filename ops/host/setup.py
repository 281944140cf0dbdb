"""What a stack needs from this machine, made where it is missing: `./pidea setup`, and the first part of `up`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ops import console, paths, toolchain
from ops.errors import HostError
from ops.host import engine as engines
from ops.host import sources, swarm
from ops.host.endpoint import Endpoint
from ops.host.engine import Engine, Progress
from ops.host.lock import only_one
from ops.host.sources import Source
from ops.host.swarm import Swarm
from ops.toolchain import Toolchain, ToolchainError

_JAEGER = "jaeger"


@dataclass(frozen=True)
class SetupReport:
    """What is there now. `seconds` has the time of each step, in the order in which they ended."""

    engine: Engine
    swarm: Swarm
    toolchain: Toolchain
    sources: tuple[Source, ...]
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """The summary for scripts: plain values only."""
        return {
            "docker": {"version": self.engine.version, "url": self.engine.endpoint.url},
            "swarm": {"node": self.swarm.node_id, "nodes": self.swarm.nodes, "made": self.swarm.made},
            "toolchain": dict(self.toolchain.methods),
            "sources": {source.name: source.made_from for source in self.sources},
            "seconds": {name: round(seconds, 1) for name, seconds in self.seconds.items()},
        }


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        started = time.monotonic()
        with console.step(title):
            yield
        self.seconds[title] = time.monotonic() - started


def _say(what: str, message: str) -> None:
    console.say(f"  [dim]{what}: {message}[/dim]")


def run(progress: Progress = _say, where: Endpoint | None = None) -> SetupReport:
    """Provides Docker, the swarm, the toolchain and the source images. Changes nothing that is there already.

    `where` is the engine that builds images, None for the one that the docker command line would use.

    Raises HostError. What is quick to fail comes first; the base image is made while the toolchain compiles.
    """
    clock = _Clock()
    with only_one(paths.cache() / "setup.lock", lambda: progress("setup", "another one is running; waiting for it")):
        with clock.step("Docker"):
            engine = engines.ensure(progress, where)
        with clock.step("Swarm"):
            cluster = swarm.ensure(engine)
        with ThreadPoolExecutor(1, thread_name_prefix="setup") as pool:
            base = pool.submit(_base_image, engine, progress, clock)
            try:
                with clock.step("Toolchain"):
                    tools = _toolchain(engine, progress)
                rootfs = base.result()
            except BaseException:
                abandon(base)
                raise
        with clock.step("Jaeger image"):
            jaeger = sources.ensure_jaeger(engine, progress, lambda: _jaeger_binary(progress))
    return SetupReport(engine, cluster, tools, (rootfs, jaeger), clock.seconds)


def _base_image(engine: Engine, progress: Progress, clock: _Clock) -> Source:
    with clock.step("Base image"):
        return sources.ensure_rootfs(engine, progress)


def _toolchain(engine: Engine, progress: Progress) -> Toolchain:
    """Jaeger is compiled with the rest, not after it, where its image will need that."""
    image = sources.find(engine, sources.JAEGER)
    needs_jaeger = not (image and image.current) and not sources.jaeger_is_released(engine)
    wanted = toolchain.ALL if needs_jaeger else [tool for tool in toolchain.ALL if tool != _JAEGER]
    return _translated(lambda: toolchain.ensure(progress, tools=wanted))


def _jaeger_binary(progress: Progress) -> Path:
    built = _translated(lambda: toolchain.ensure(progress, tools={_JAEGER})).jaeger
    if built is None:
        raise HostError("Jaeger was built but is not in the cache. Run ./pidea setup again.")
    return built


def _translated(provide: Callable[[], Toolchain]) -> Toolchain:
    try:
        return provide()
    except ToolchainError as error:
        raise HostError(str(error)) from error


def abandon(work: Future[Source]) -> None:
    """Ends the programs that the other thread waits for; the engine has a session of its own and stays."""
    if work.cancel() or work.done():
        return
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(child.pid) == os.getsid(0):
                child.terminate()
