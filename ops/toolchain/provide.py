"""Provides the tools: the user's own, else what the cache has, else a download, else a build."""

import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ops.toolchain import cache
from ops.toolchain.artifact import Artifact, Job
from ops.toolchain.errors import ToolchainError, UnavailableError
from ops.toolchain.process import Processes
from ops.toolchain.tools import DockerPlugin, Jaeger, Pulumi, Tool, all_tools, user_home

PATH, DOWNLOAD, SOURCE = METHODS = ("path", "download", "source")
ALL = (Pulumi.name, DockerPlugin.name, Jaeger.name)
# Without these two no stack comes up; they are provided whatever else is asked for.
_REQUIRED = frozenset({Pulumi.name, DockerPlugin.name})
_METHOD_VARIABLE = "PIDEA_TOOLCHAIN"
_CORES_PER_COMPILER = 4
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Toolchain:
    """Tools that are there, and how a shell or a child process gets to use them.

    `path_entries` go in front of PATH, and `env` is set beside it: the docker plugin is found through PULUMI_HOME. The
    login stays the user's own. `methods` says of each tool how it was had: "path", "download" or "source".
    """

    path_entries: tuple[Path, ...]
    pulumi: Path
    jaeger: Path | None
    methods: Mapping[str, str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class _Provided:
    folder: Path
    method: str


def ensure(progress: Callable[[str, str], None], *, tools: Collection[str] = ALL) -> Toolchain:
    """Provide the named tools, and in any case the CLI and the docker plugin.

    `progress(tool, step)` is called from several threads, one call at a time. Environment variable PIDEA_TOOLCHAIN
    (path, download or source) allows that one method alone. Takes minutes where tools are built; KeyboardInterrupt ends
    all that was started, and the next call goes on from what the Go command has cached.

    Raises ToolchainError.
    """
    known = all_tools()
    if unknown := sorted(set(tools) - set(known)):
        raise ToolchainError(f"There is no tool {', '.join(unknown)}; the tools are {', '.join(known)}.")
    wanted = [tool for name, tool in known.items() if name in _REQUIRED or name in tools]
    provided: dict[str, _Provided] = {}
    missing = []
    for tool in wanted:
        if found := _existing(tool):
            provided[tool.name] = found
        else:
            missing.append(tool)
    if missing:
        provided |= _make(missing, progress)
    return _toolchain(provided)


def find() -> Toolchain | None:
    """What is there already, without any effect; None where the CLI or the docker plugin is missing.

    Raises ToolchainError where a tool on PATH stands in the way of one that would work.
    """
    provided = {name: found for name, tool in all_tools().items() if (found := _existing(tool))}
    return _toolchain(provided) if provided.keys() >= _REQUIRED else None


def prune() -> int:
    """Remove from the cache all but the tools that `find` uses; returns the bytes freed, the Go caches' included."""
    kept = [found.folder for tool in all_tools().values() if (found := _existing(tool))]
    return cache.prune(kept)


def _methods() -> tuple[str, ...]:
    forced = os.environ.get(_METHOD_VARIABLE)
    if not forced:
        return METHODS
    if forced not in METHODS:
        raise ToolchainError(f"{_METHOD_VARIABLE} must be one of {', '.join(METHODS)}, is {forced!r}.")
    return (forced,)


def _existing(tool: Tool) -> _Provided | None:
    for method in _methods():
        if method == PATH:
            folder = tool.on_path()
        else:
            artifact = _artifact(tool, method)
            folder = artifact.location() if artifact else None
        if folder:
            return _Provided(folder, method)
    return None


def _artifact(tool: Tool, method: str) -> Artifact | None:
    return tool.release() if method == DOWNLOAD else tool.source()


def _make(tools: list[Tool], progress: Callable[[str, str], None]) -> dict[str, _Provided]:
    processes = Processes()
    slots = threading.Semaphore(max(1, (os.cpu_count() or 1) // _CORES_PER_COMPILER))
    reporting = threading.Lock()

    def job(tool: Tool) -> Job:
        last = ""

        def report(step: str) -> None:
            nonlocal last
            with reporting:
                # Waiting is reported again and again.
                if step != last:
                    last = step
                    progress(tool.name, step)

        return Job(report, processes, slots)

    with ThreadPoolExecutor(len(tools), thread_name_prefix="toolchain") as pool:
        # The first tool is being built while the last is still being handed over: an interrupt then must end it too, or
        # the pool waits for the whole build.
        try:
            futures: dict[str, Future[_Provided]] = {t.name: pool.submit(_provide, t, job(t)) for t in tools}
            # Not concurrent.futures.wait: an interrupt while that takes the locks of the futures leaves some taken for
            # ever, and the workers wait for them.
            while not all(future.done() for future in futures.values()):
                if any(future.done() and future.exception() for future in futures.values()):
                    break
                time.sleep(_LOOK_SECONDS)
            # The first to fail explains the failure; the others would only say that they were cancelled.
            for future in _failed_first(futures.values()):
                future.result()
        except BaseException:
            processes.cancel()
            raise
    return {name: future.result() for name, future in futures.items()}


def _failed_first(futures: Collection["Future[_Provided]"]) -> Iterator["Future[_Provided]"]:
    yield from (future for future in futures if future.done() and future.exception())
    yield from futures


def _provide(tool: Tool, job: Job) -> _Provided:
    reasons = []
    for method in _methods():
        if method == PATH:
            continue
        artifact = _artifact(tool, method)
        if artifact is None:
            continue
        try:
            folder = artifact.ensure(job)
        except UnavailableError as error:
            job.progress(f"{error} Going on without it.")
            reasons.append(str(error))
        else:
            job.progress("ready")
            return _Provided(folder, method)
    tried = " ".join(reasons) or f"{_METHOD_VARIABLE} allows no way to get it, and it is not there."
    raise ToolchainError(f"The tool {tool.name} cannot be provided. {tried}")


def _toolchain(provided: Mapping[str, _Provided]) -> Toolchain:
    cli, plugin, jaeger = (provided.get(name) for name in ALL)
    assert cli is not None  # noqa: S101 the required ones are always provided
    assert plugin is not None  # noqa: S101
    env = {
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The SDK is pinned to be one that works with this CLI; the Automation API insists on equal minor versions.
        "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
        # A plugin that is missing is an error to report, not something to look for in a network that may be closed.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # The interpreter of the language host, and of programs that name no virtual environment.
        "PULUMI_PYTHON_CMD": sys.executable,
    }
    if plugin.method != PATH:
        env["PULUMI_HOME"] = str(plugin.folder)
        env["PULUMI_CREDENTIALS_PATH"] = os.environ.get("PULUMI_CREDENTIALS_PATH") or str(user_home())
    return Toolchain(
        path_entries=(cli.folder,),
        pulumi=cli.folder / "pulumi",
        jaeger=jaeger.folder / "jaeger" if jaeger else None,
        methods=MappingProxyType({name: found.method for name, found in provided.items()}),
        env=MappingProxyType(env),
    )
