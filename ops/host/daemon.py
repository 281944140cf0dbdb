"""Starting this machine's Docker engine, with its service manager or, where none runs, as a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ops import paths
from ops.errors import HostError
from ops.host.apt import root_prefix

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
_SYSTEMD_RUNS = Path("/run/systemd/system")
_START_TIMEOUT_SECONDS = 90.0
_STOP_TIMEOUT_SECONDS = 20.0
_LOG_LINES = 5


@dataclass(frozen=True)
class Daemon:
    """How to run `dockerd` by hand, and the files that a killed one leaves behind."""

    arguments: Sequence[str] = ()
    pid_files: dict[Path, str] = field(
        default_factory=lambda: {
            Path("/var/run/docker.pid"): "dockerd",
            Path("/var/run/docker/containerd/containerd.pid"): "containerd",
        }
    )
    log: Path | None = None


def start(*, answers: Callable[[], bool], timeout_seconds: float = _START_TIMEOUT_SECONDS) -> None:
    """Starts the engine and returns when it `answers`. HostError otherwise, with what the engine said last."""
    prefix = root_prefix()
    if prefix is None:
        raise HostError("Docker is not running. Start it (sudo systemctl start docker), then run this again.")
    if _SYSTEMD_RUNS.is_dir() and shutil.which("systemctl"):
        _start_with_systemd(prefix, answers, timeout_seconds)
    else:
        start_process(Daemon(), prefix=prefix, answers=answers, timeout_seconds=timeout_seconds)


def start_process(
    daemon: Daemon, *, prefix: Sequence[str], answers: Callable[[], bool], timeout_seconds: float
) -> subprocess.Popen[bytes]:
    """Runs `dockerd` in a session of its own, so that it outlives this process and its terminal."""
    remove_stale_pid_files(daemon.pid_files, prefix)
    log = daemon.log or _log_path()
    command = [*prefix, shutil.which("dockerd", path=SEARCH_PATH) or "dockerd", *daemon.arguments]
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )
    deadline = time.monotonic() + timeout_seconds
    while not answers():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            if not ended:
                _end(process)
            what = (
                f"ended with exit code {process.returncode}" if ended else f"did not answer in {timeout_seconds:.0f} s"
            )
            raise HostError(f"dockerd {what}. Its last lines, from {log}:\n{_tail(log, begin)}")
        time.sleep(0.1)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove_stale_pid_files(pid_files: dict[Path, str], prefix: Sequence[str] = ()) -> None:
    """Removes the pid files whose process is gone or, after a reboot, is another program's.

    dockerd refuses to start where any process has the number in its pid file, whatever that process is.
    """
    for path, program in pid_files.items():
        if path.exists() and _program_of(path) != program:
            subprocess.run([*prefix, "rm", "-f", str(path)], check=True)


def _program_of(pid_file: Path) -> str | None:
    try:
        process = psutil.Process(int(pid_file.read_text().strip()))
        return None if process.status() == psutil.STATUS_ZOMBIE else process.name()
    except (OSError, ValueError, psutil.Error):
        return None


def _start_with_systemd(prefix: Sequence[str], answers: Callable[[], bool], timeout_seconds: float) -> None:
    started = subprocess.run([*prefix, "systemctl", "start", "docker"], capture_output=True, text=True, check=False)
    deadline = time.monotonic() + timeout_seconds
    while not answers():
        if started.returncode != 0 or time.monotonic() > deadline:
            said = (started.stderr.strip().splitlines() or ["no answer"])[0]
            raise HostError(
                f"systemd could not start Docker: {said}. See `journalctl -u docker`, repair it, then run this again."
            )
        time.sleep(0.1)


def _log_path() -> Path:
    folder = Path("/var/log")
    if not os.access(folder, os.W_OK):
        folder = paths.cache()
        folder.mkdir(parents=True, exist_ok=True)
    return folder / "pidea-dockerd.log"


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:]) or "(nothing)"
