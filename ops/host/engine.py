"""The Docker engine: whether it can be used, and if not, why and what to do; installed and started where we may."""

from __future__ import annotations

import enum
import errno
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass

import docker
import requests

from ops.errors import HostError
from ops.host import apt, daemon, endpoint, tls
from ops.host.endpoint import Endpoint

Progress = Callable[[str, str], None]

MINIMUM_API_VERSION = "1.40"  # Docker 19.03: `docker service` with everything that the stack sets
_PROBE_TIMEOUT_SECONDS = 10.0
_PACKAGES = ("docker.io", "iptables", "debootstrap")


class State(enum.Enum):
    """What a look at the engine found."""

    RUNNING = "running"
    ABSENT = "absent"
    STOPPED = "stopped"
    UNREACHABLE = "unreachable"
    TOO_OLD = "too old"
    NO_PERMISSION = "no permission"


@dataclass(frozen=True)
class Engine:
    """An engine that answered. Versions are the server's."""

    endpoint: Endpoint
    version: str
    api_version: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a child process (Pulumi, docker) talk to this engine."""
        return self.endpoint.environment

    def client(self, timeout_seconds: float = 60) -> docker.APIClient:
        """A client of the low-level API; close it, or use it in `contextlib.closing`."""
        return self.endpoint.client(timeout_seconds=timeout_seconds)


@dataclass(frozen=True)
class Finding:
    """`engine` where it can be used; else `state` and one `problem` that says what to do next."""

    state: State
    engine: Engine | None = None
    problem: str = ""


def find() -> Engine | None:
    """The engine, or None where there is none to use for whatever reason. Changes nothing."""
    return look().engine


def require(where: Endpoint | None = None) -> Engine:
    """The engine; HostError says why there is none and what to do."""
    finding = look(where)
    if finding.engine is None:
        raise HostError(finding.problem)
    return finding.engine


def look(where: Endpoint | None = None) -> Finding:
    """Asks the engine for its version. Changes nothing; takes at most some seconds."""
    where = where or endpoint.resolve()
    if refused := _socket_problem(where):
        return refused
    if ended := tls.expired(where):
        return Finding(State.UNREACHABLE, problem=ended)
    try:
        client = where.client(version=MINIMUM_API_VERSION, timeout_seconds=_PROBE_TIMEOUT_SECONDS)
        try:
            answer = client.version(api_version=False)
        finally:
            client.close()
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        OSError,
        ValueError,
    ) as error:
        if distrust := tls.refusal(where, error):
            return Finding(State.UNREACHABLE, problem=distrust)
        return _unreachable(where, _reason(error))
    version, api_version = str(answer.get("Version", "?")), str(answer.get("ApiVersion", "0"))
    if _numbers(api_version) < _numbers(MINIMUM_API_VERSION):
        return Finding(
            State.TOO_OLD,
            problem=f"Docker {version} speaks API {api_version}, and {MINIMUM_API_VERSION} or newer is needed. "
            "Update Docker to 19.03 or newer, then run this again.",
        )
    return Finding(State.RUNNING, Engine(where, version, api_version))


def ensure(progress: Progress, where: Endpoint | None = None) -> Engine:
    """The engine, after installing and starting it where this machine allows. An engine that answers is not touched."""
    where = where or endpoint.resolve()
    finding = look(where)
    if finding.state is State.ABSENT:
        apt.install(_PACKAGES, purpose="Docker", progress=progress)
        finding = look(where)
    if finding.state is State.STOPPED:
        progress("docker", "starting")
        daemon.start(answers=lambda: look(where).engine is not None)
        finding = look(where)
    if finding.engine is None:
        raise HostError(finding.problem)
    return finding.engine


def _socket_problem(where: Endpoint) -> Finding | None:
    """Tells apart what the HTTP client lumps together: no socket, nobody behind it, and no right to use it."""
    if where.socket is None:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_SECONDS)
        try:
            probe.connect(str(where.socket))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                return Finding(
                    State.NO_PERMISSION,
                    problem=f"You may not use Docker's socket {where.socket}. Add yourself to its group "
                    "(sudo usermod -aG docker $USER), log in again, then run this again; or run it as root.",
                )
            return _unreachable(where, error.strerror or str(error))
    return None


def _unreachable(where: Endpoint, reason: str) -> Finding:
    if not where.is_default:
        return Finding(
            State.UNREACHABLE,
            problem=f"Docker does not answer at {where.url} ({where.named_by}): {reason}. "
            "Start that engine or correct the address, then run this again.",
        )
    if shutil.which("dockerd", path=daemon.SEARCH_PATH) is None:
        return Finding(
            State.ABSENT,
            problem="Docker is not installed. Run ./pidea setup as root on Debian or Ubuntu, or install Docker Engine "
            "19.03 or newer yourself, then run this again.",
        )
    return Finding(
        State.STOPPED,
        problem=f"Docker is installed but not running ({reason}). "
        "Run ./pidea setup, or start it (systemctl start docker).",
    )


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
