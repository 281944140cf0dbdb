"""What is killed leaves a repository that is whole, and the next run goes on; what is damaged is found and named."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from infra import names
from tests.stack import commands, containers
from tests.stack.containers import Container
from tests.stack.instance import Instance

_PROGRAM = ("/usr/bin/python3.11", "-m", "ops.backup")
# Exits with 0 where it has killed one.
_KILL = """
import glob, os, sys
found = [p for p in glob.glob("/proc/[0-9]*/comm") if open(p).read() == "restic\\n"]
[os.kill(int(p.split("/")[2]), 9) for p in found]
sys.exit(not found)
"""


def backup(stack: Instance, *words: str) -> commands.Finished:
    command = ["./pidea", "backup", words[0], "staging", "--instance", str(stack.stack.instance), *words[1:]]
    return commands.run(command, timeout_seconds=300)


def started(container: Container, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["docker", "exec", container.id, *_PROGRAM, *arguments],
        env={**os.environ, **container.engine.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_restic_of(container: Container, *arguments: str) -> None:
    """Starts a job and kills its restic with -9 as soon as there is one; the job must fail or make another attempt."""
    with started(container, *arguments) as job:
        deadline = time.monotonic() + 30
        killed = 0
        while job.poll() is None and killed < 1 and time.monotonic() < deadline:
            killed += container.inside.run("/usr/bin/python3.11 -c %s", _KILL).succeeded
        job.kill()
        job.communicate()
    assert killed


def test_a_killed_backup_and_a_killed_prune_leave_the_repository_whole(stack: Instance) -> None:
    assert backup(stack, "now", "--only", "postgres").code == 0
    container = containers.one(stack, names.BACKUP)
    for job in (("now", "postgres"), ("tidy",)):
        kill_restic_of(container, *job)
    verified = backup(stack, "verify")
    assert verified.code == 0, verified.text
    again = backup(stack, "now", "--json")
    assert again.code == 0, again.text
    assert set(again.json) == {"postgres", "redis", "alertmanager", "state"}
    tidied = started(container, "tidy")
    output, said = tidied.communicate(timeout=120)
    assert tidied.returncode == 0, said
    assert json.loads(output)["repository_bytes"] > 0


def test_flipped_bytes_are_found_and_named(stack: Instance) -> None:
    inside = containers.one(stack, names.BACKUP).inside
    pack = inside.check_output("bash -c 'find /data/repository/data -type f -size +20k | sort | head -1'")
    flip = (
        "import os,sys; p=sys.argv[1]; os.chmod(p, 0o600); f=open(p,'r+b'); f.seek(9999); b=f.read(1);"
        " f.seek(9999); f.write(bytes([b[0]^255])); f.close()"
    )
    assert inside.run("/usr/bin/python3.11 -c %s %s", flip, pack).succeeded
    try:
        verified = backup(stack, "verify")
    finally:
        assert inside.run("/usr/bin/python3.11 -c %s %s", flip, pack).succeeded
    assert verified.code == 1, verified.text
    said = containers.one(stack, names.BACKUP).inside.run("cat /data/state.json").stdout
    assert json.loads(said)["check"]["error"]
    assert Path(pack).name[:8] in verified.text
    assert backup(stack, "verify").code == 0


def test_a_wrong_password_is_said_plainly(stack: Instance) -> None:
    container = containers.one(stack, names.BACKUP)
    ended = subprocess.run(
        ["docker", "exec", "--env=REPOSITORY_PASSWORD_FILE=/etc/hostname", container.id, *_PROGRAM, "list"],
        env={**os.environ, **container.engine.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 4
    assert "the password is wrong" in json.loads(ended.stdout)["error"]


def test_a_second_backup_waits_for_the_first(stack: Instance) -> None:
    container = containers.one(stack, names.BACKUP)
    jobs = [started(container, "now", "redis") for _ in range(2)]
    said = [job.communicate(timeout=120) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], said
