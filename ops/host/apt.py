"""Debian packages on this machine: installed where we are root (or sudo asks no password), else asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ops.errors import HostError

_TIMEOUT_SECONDS = 900
_POLICY = Path("/usr/sbin/policy-rc.d")
_ENVIRONMENT = ("DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "NEEDRESTART_MODE=l")
# While packages of test servers are unpacked, Debian asks this whether to start them: 101 means no.
_INSTALL_QUIETLY = r"""
set -e
policy=$1; shift
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get install -y --no-install-recommends "$@"
"""


def root_prefix() -> list[str] | None:
    """What to put before a command to run it as root: nothing, `sudo -n`, or None where neither is possible."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    probe = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if probe.returncode == 0 else None


def install(
    packages: Sequence[str],
    *,
    purpose: str,
    progress: Callable[[str, str], None],
    start_services: bool = True,
) -> None:
    """Installs `packages` with apt-get. HostError where the machine is another kind, or apt-get fails.

    `start_services=False` keeps the servers among them stopped, on a machine with a service manager too.
    """
    prefix = root_prefix()
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise HostError(
            f"{purpose} is not installed. Install it with this machine's package manager, then run this again."
        )
    if prefix is None:
        raise HostError(f"{purpose} is not installed. Run: sudo apt-get install {names}; then run this again.")
    command = [*prefix, "env", *_ENVIRONMENT]
    progress("apt", f"installing {names}")
    # A third party's broken list fails the update as a whole; whether it matters shows in the installation.
    _run([*command, "apt-get", "update"])
    if start_services:
        done = _run([*command, "apt-get", "install", "-y", "--no-install-recommends", *packages])
    else:
        done = _run([*command, "sh", "-c", _INSTALL_QUIETLY, "sh", str(_POLICY), *packages])
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["no message"])[-1]
        raise HostError(
            f"apt-get could not install {names}: {last}. Run `apt-get install {names}` to see more, then come back."
        )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(
            f"apt-get took longer than {_TIMEOUT_SECONDS} s. Check the package mirror, then run this again."
        ) from error
