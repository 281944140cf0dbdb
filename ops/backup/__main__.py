"""`python -m ops.backup serve`, and what `./pidea` runs in the container: each prints one JSON object on stdout."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from typing import Any

from ops.backup import catalog, log, moving, restore
from ops.backup.drill import drill
from ops.backup.errors import BackupError, SpaceError, ToolError
from ops.backup.jobs import ALL, Jobs
from ops.backup.service import Service
from ops.backup.settings import Settings, SettingsError

_WAIT_SECONDS = 900.0
_PREPARE = {
    "postgres": restore.prepare_postgres,
    "redis": restore.prepare_redis,
    "alertmanager": restore.prepare_silences,
}


def main(arguments: list[str], settings: Settings) -> Any:
    """Does what the command line says; gives what it prints, None for nothing."""
    parser = argparse.ArgumentParser(prog="ops.backup")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve")
    commands.add_parser("now").add_argument("what", nargs="*")
    commands.add_parser("list")
    commands.add_parser("drill")
    commands.add_parser("tidy")
    commands.add_parser("copy")
    commands.add_parser("adopt")
    commands.add_parser("verify").add_argument("--share", default="100%")
    push = commands.add_parser("push")
    push.add_argument("--until")
    for name in ("plan", "prepare"):
        command = commands.add_parser(name)
        command.add_argument("what", choices=("postgres", "redis", "alertmanager"))
        command.add_argument("--at")
        command.add_argument("--snapshot")
        command.add_argument("--other-stack", action="store_true")
    for name in ("send", "discard", "finish"):
        commands.add_parser(name).add_argument("what", choices=("postgres", "redis", "alertmanager"))
    commands.add_parser("keep-state")
    for name in ("contents", "begin-anew", "export"):
        commands.add_parser(name)
    commands.add_parser("import").add_argument("--offsite", action="store_true")
    chosen = parser.parse_args(arguments)
    jobs = Jobs(settings, wait_seconds=_WAIT_SECONDS)
    log.Progress.is_watched = chosen.command != "serve"
    match chosen.command:
        case "serve":
            _serve(settings)
        case "now":
            return {what: jobs.backup(what) for what in chosen.what or ALL}
        case "list":
            return _listed(jobs)
        case "drill":
            return drill(jobs)
        case "tidy":
            return jobs.tidy()
        case "copy":
            return jobs.copy()
        case "adopt":
            return moving.adopt(jobs)
        case "verify":
            read = jobs.check(chosen.share)
            return {**read, "offsite": jobs.check_offsite(chosen.share)} if jobs.offsite else read
        case "push":
            return jobs.push(until=chosen.until)
        case "plan":
            return restore.plan(jobs, _wanted(chosen))
        case "prepare":
            return _PREPARE[chosen.what](jobs, _wanted(chosen))
        case "send":
            restore.send(jobs, chosen.what)
        case "discard":
            return restore.discard(jobs, chosen.what)
        case "finish":
            return restore.finish(jobs, chosen.what)
        case "contents":
            return restore.contents(jobs)
        case "begin-anew":
            return restore.begin_anew(jobs)
        case "export":
            moving.send(jobs)
        case "import":
            return moving.receive_offsite(jobs) if chosen.offsite else moving.receive(jobs)
        case "keep-state":
            return jobs.keep_state()
    return None


def _wanted(chosen: argparse.Namespace) -> restore.Wanted:
    return restore.Wanted(at=chosen.at, snapshot=chosen.snapshot, of_other_stack=chosen.other_stack)


def _listed(jobs: Jobs) -> dict[str, Any]:
    snapshots = jobs.restic.snapshots()
    ranges = catalog.merged(catalog.reaches(snapshots))
    return {
        "repository": jobs.restic.location.url,
        "ranges": [{"first": catalog.tagged(r.first), "last": catalog.tagged(r.last)} for r in ranges],
        "snapshots": [
            {"id": s.short_id, "kind": s.kind, "time": catalog.tagged(s.time), "about": dict(s.about)}
            for s in snapshots
        ],
    }


def _serve(settings: Settings) -> None:
    service = Service(settings)
    signal.signal(signal.SIGTERM, lambda *_: service.end())
    log.line("INFO", "started", repository=settings.repository.url)
    service.run()
    log.line("INFO", "ended")


if __name__ == "__main__":
    try:
        result = main(sys.argv[1:], Settings.from_environment(os.environ))
        if result is not None:
            sys.stdout.write(json.dumps(result, default=str) + "\n")
    except SettingsError as error:
        log.line("ERROR", str(error))
        sys.exit(2)
    except BackupError as error:
        log.line("ERROR", str(error), **({"said": error.said[-4000:]} if isinstance(error, ToolError) else {}))
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        sys.exit(error.exit_code)
    except OSError as error:  # a disk that is full or cannot be read
        log.line("ERROR", str(error))
        sys.stdout.write(json.dumps({"error": f"The backup volume cannot be used: {error}."}) + "\n")
        sys.exit(SpaceError.exit_code)
