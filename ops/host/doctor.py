"""Looks at everything that a stack needs from this machine, and changes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import docker
import psutil
import requests

from infra.settings import EdgeSettings
from ops import paths, toolchain
from ops.errors import OpsError
from ops.host import engine as engines
from ops.host import sources, swarm
from ops.host.engine import Engine
from ops.stack import backend, preflight
from ops.stack.swarm import INSTANCE_LABEL

Status = Literal["ok", "warn", "fail"]

_GIB = 1024**3
# The sum of what the services of staging reserve, with room for building images.
_COMFORTABLE_MEMORY_BYTES = 2 * _GIB
# Images 2.2 GiB, and 7 GiB for the caches of the Go command where the toolchain is built.
_COMFORTABLE_DISK_BYTES = 12 * _GIB
_SETUP = "Run ./pidea setup."
_COMMAND_TIMEOUT_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the table. `fix` says what to do where the status is not "ok"."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def examine() -> list[Check]:
    """Every check, in the order in which things depend on each other. What cannot be looked at is a failed check."""
    checks = [*_guarded("python", _python), *_guarded("uv", _uv), *_guarded("toolchain", _toolchain)]
    checks += _guarded("docker", _docker)
    engine = engines.find() if checks[-1].status == "ok" else None
    if engine:
        for name, look in (("swarm", _swarm), ("source images", _sources)):
            checks += _guarded(name, lambda look=look: look(engine))  # type: ignore[misc]
    checks += _guarded("disk", lambda: _disk(engine))
    checks += _guarded("memory", _memory)
    checks += _guarded("ports", lambda: _ports(engine))
    return checks + _guarded("state", _state)


def _guarded(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    try:
        return look()
    except OpsError as error:
        return [Check(name, "fail", *_split(str(error)))]
    except toolchain.ToolchainError as error:
        return [Check(name, "fail", str(error), _SETUP)]
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        return [Check(name, "fail", f"cannot be looked at: {error}", "Repair it, then run this again.")]


def _split(text: str) -> tuple[str, str]:
    """Our errors say what is wrong first, then what to do."""
    for mark in (". ", "; "):
        problem, found, fix = text.partition(mark)
        if found:
            return problem, fix[0].upper() + fix[1:]
    return text, ""


def _python() -> list[Check]:
    return [Check("python", "ok", f"{platform.python_version()} ({sys.executable})")]


def _uv() -> list[Check]:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        return [Check("uv", "warn", "not in .venv", "Remove .venv; the next command makes it again.")]
    return [Check("uv", "ok", _output([str(uv), "--version"]).removeprefix("uv "))]


def _toolchain() -> list[Check]:
    found = toolchain.find()
    if found is None:
        return [Check("toolchain", "fail", "the Pulumi CLI or its docker plugin is missing", _SETUP)]
    version = _output([str(found.pulumi), "version"], found.env)
    methods = ", ".join(f"{tool} from {method}" for tool, method in found.methods.items())
    return [Check("toolchain", "ok", f"Pulumi {version} ({methods})")]


def _docker() -> list[Check]:
    finding = engines.look()
    if finding.engine is None:
        return [Check("docker", "fail", *_split(finding.problem))]
    engine = finding.engine
    return [Check("docker", "ok", f"{engine.version}, API {engine.api_version}, {engine.endpoint.url}")]


def _swarm(engine: Engine) -> list[Check]:
    found = swarm.find(engine)
    if found is None:
        return [Check("swarm", "fail", "none yet", _SETUP)]
    return [Check("swarm", "ok", f"manager, {found.nodes} node{'s' if found.nodes != 1 else ''}")]


def _sources(engine: Engine) -> list[Check]:
    checks = []
    for name in (sources.ROOTFS, sources.JAEGER):
        found = sources.find(engine, name)
        if found is None:
            checks.append(Check(name, "fail", "not made yet", _SETUP))
        elif not found.current:
            checks.append(Check(name, "warn", "made by an older version", _SETUP))
        else:
            by_hand = "not made by ./pidea setup; used as it is"
            checks.append(Check(name, "ok", by_hand if found.made_from == "unknown" else f"from {found.made_from}"))
    return checks


def _disk(engine: Engine | None) -> list[Check]:
    root = Path("/")
    if engine and engine.endpoint.socket:
        with contextlib.closing(engine.client()) as client:
            root = Path(client.info().get("DockerRootDir") or "/")
    checks = []
    for name, place in (("disk for images", root), ("disk for the cache", paths.cache())):
        there = next(path for path in (place, *place.parents) if path.exists())
        free = shutil.disk_usage(there).free
        try:
            preflight.check_disk(place, preflight.LATER_DISK_BYTES)
        except OpsError as error:
            checks.append(Check(name, "fail", *_split(str(error))))
            continue
        fix = (
            "" if free >= _COMFORTABLE_DISK_BYTES else f"A first setup may need {_COMFORTABLE_DISK_BYTES // _GIB} GiB."
        )
        checks.append(Check(name, "warn" if fix else "ok", f"{free / _GIB:.1f} GiB free at {there}", fix))
    return checks


def _memory() -> list[Check]:
    memory = psutil.virtual_memory()
    detail = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB available"
    if memory.available < _COMFORTABLE_MEMORY_BYTES:
        fix = "Staging with its image builds wants 2 GiB: end other programs, or use a larger machine."
        return [Check("memory", "warn", detail, fix)]
    return [Check("memory", "ok", detail)]


def _ports(engine: Engine | None) -> list[Check]:
    ours = _published(engine) if engine else {}
    defaults, checks = EdgeSettings(), []
    for port in (defaults.port, defaults.operator_port):
        name = f"port {port}"
        if port in ours:
            checks.append(Check(name, "ok", f"published by {ours[port]}"))
            continue
        try:
            preflight.check_port(port)
        except OpsError as error:
            checks.append(Check(name, "warn", *_split(str(error))))
        else:
            checks.append(Check(name, "ok", "free"))
    return checks


def _published(engine: Engine) -> dict[int, str]:
    """The ports of this product's stacks, and which service has them."""
    with contextlib.closing(engine.client()) as client:
        if not (client.info().get("Swarm") or {}).get("ControlAvailable"):
            return {}
        services = client.services(filters={"label": INSTANCE_LABEL})  # type: ignore[no-untyped-call]
    return {
        int(port["PublishedPort"]): str(service["Spec"]["Name"])
        for service in services
        for port in (service.get("Endpoint") or {}).get("Ports") or []
        if "PublishedPort" in port
    }


def _state() -> list[Check]:
    if not backend.has_login():
        return [Check("state", "ok", f"files in {paths.LOCAL / 'state'}")]
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    current = os.environ.get(backend.BACKEND_URL)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        current = current or json.loads((home / "credentials.json").read_text()).get("current")
    return [Check("state", "ok", f"your Pulumi login, {current or 'Pulumi Cloud'}")]


def _output(command: list[str], extra: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(extra or {})},
        timeout=_COMMAND_TIMEOUT_SECONDS,
    )
    return done.stdout.strip() or f"does not run (exit code {done.returncode})"
