"""Runs the linters and the tests, with what the tests need on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from ops import console, paths
from ops.errors import HostError
from ops.host import apt

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy", "--strict"],
}
_NOT_FAST = (
    "not stack and not prod and not lab and not patroni and not redis_ha and not backup and not toolchain and not app"
    " and not pages"
)
# Labs, day-2 work on prod, repositories and clusters that are broken: more than an hour on two idle processors.
_NOT_LONG = "not patroni and not operations and not lab and not pages and not backup"
# Debian's packages of the programs that the tests of app/ and of the alert rules start for themselves.
_SERVERS = {
    "postgres": "postgresql-15",
    "redis-server": "redis-server",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",  # and amtool
    "haproxy": "haproxy",
    "chromium": "chromium",
}
_POSTGRES_FOLDER = "/usr/lib/postgresql/15/bin"  # never on PATH, and another version is no substitute


def run() -> list[str]:
    """Runs every check with its output shown; the names of those that failed."""
    failed = []
    for name, command in CHECKS.items():
        console.say(f"[bold]▸[/bold] {name}")
        if subprocess.run([sys.executable, "-m", *command], cwd=paths.REPO, check=False).returncode != 0:
            failed.append(name)
    return failed


def missing_servers() -> list[str]:
    """The packages of the servers that are not on this machine."""
    others = os.pathsep.join([os.environ.get("PATH", ""), "/usr/bin", "/usr/sbin"])
    folders = {"postgres": _POSTGRES_FOLDER}
    return [
        package
        for program, package in _SERVERS.items()
        if shutil.which(program, path=folders.get(program, others)) is None
    ]


def ensure_servers() -> None:
    """Installs the missing ones without starting them. Where that is not possible says so, and their tests skip."""
    missing = missing_servers()
    if not missing:
        return
    try:
        with console.step("Servers for tests"):
            apt.install(
                missing,
                purpose="What some tests start for themselves",
                progress=lambda what, message: console.say(f"  [dim]{what}: {message}[/dim]"),
                start_services=False,
            )
    except HostError as error:
        console.say(f"[yellow]![/yellow] {error} Until then those tests are skipped.")


def become_pytest(arguments: Sequence[str], *, fast: bool, long: bool) -> NoReturn:
    """Turns this process into pytest: its exit code, its summary as the last line, and Ctrl-C straight to it."""
    marked = ["-m", _NOT_FAST] if fast else [] if long else ["-m", _NOT_LONG]
    os.chdir(paths.REPO)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *marked, *arguments])  # noqa: S606 - no shell wanted
