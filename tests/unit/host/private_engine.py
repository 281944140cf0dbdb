"""A real engine beside the machine's own."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import psutil

from ops.host import engine
from ops.host.daemon import Daemon, start_process
from ops.host.endpoint import Endpoint

_START_TIMEOUT_SECONDS = 120.0
_STOP_TIMEOUT_SECONDS = 60.0
# A network of its own, because a swarm takes fixed ports; with the loopback interface, because it needs that.
_OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")


class PrivateEngine:
    """A real `dockerd` with data, sockets and a network of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoint = Endpoint(f"unix://{folder / 'docker.sock'}", "test")
        self.daemon = Daemon(
            arguments=(
                f"--data-root={folder / 'data'}",
                f"--exec-root={folder / 'exec'}",
                f"--pidfile={folder / 'docker.pid'}",
                f"--host={self.endpoint.url}",
                f"--config-file={folder / 'none.json'}",
                "--bridge=none",
                "--iptables=false",
                "--storage-driver=vfs",
            ),
            pid_files={folder / "docker.pid": "dockerd", folder / "exec/containerd/containerd.pid": "containerd"},
            log=folder / "log",
        )

    def answers(self) -> bool:
        return engine.look(self.endpoint).engine is not None

    def start(self) -> subprocess.Popen[bytes]:
        (self.folder / "none.json").write_text("{}")
        return start_process(
            self.daemon, prefix=_OWN_NETWORK, answers=self.answers, timeout_seconds=_START_TIMEOUT_SECONDS
        )

    def stop(self) -> None:
        """Ends the engine and its containerd, also where one of them was left alone."""
        for path, program in self.daemon.pid_files.items():
            with contextlib.suppress(OSError, ValueError, psutil.Error):
                process = psutil.Process(int(path.read_text()))
                if process.name() == program:
                    process.terminate()
                    process.wait(_STOP_TIMEOUT_SECONDS)
