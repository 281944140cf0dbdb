"""Users outside: requests through every edge at a steady rate, whatever becomes of the ones before."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Self, cast

from ops import paths
from ops.chaos.records import Request
from ops.errors import DeployError

ANY = "any"
ANSWER_SECONDS = 10.0
READY = "ready"
_START_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """`edges`: slot → address. `per_second` is each client's rate; every second request writes.

    `trusted` are the certificates that are believed beside the machine's own.
    """

    run: str
    edges: Mapping[int, str]
    token: str = dataclasses.field(repr=False)
    trusted: str
    per_second: float


class Load:
    """In a process of its own from its entering to `stop`: a client for each edge, and one that knows them all.

    The token goes through its standard input: a command line can be seen.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.chaos.edge_users"],
            cwd=paths.REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # The terminal's Ctrl-C is for us; the users stop when they are told to.
            process_group=0,
        )
        self._process = process
        stdin, stdout = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        overdue = threading.Timer(_START_SECONDS, process.kill)
        overdue.start()
        stdin.write(json.dumps(dataclasses.asdict(self._plan)) + "\n")
        stdin.flush()
        said = stdout.readline().strip()
        overdue.cancel()
        if said != READY:
            self._end()
            raise DeployError(
                f"No chat could be made through the edges before anything was broken: {said or 'silence'}"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def stop(self) -> tuple[Request, ...]:
        """Sends no more, waits for what is on its way, and gives all requests in the order of their sending."""
        if self._process is None:
            return ()
        try:
            output, _ = self._process.communicate(timeout=4 * ANSWER_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DeployError("The users outside did not stop in time.") from error
        found = [Request(*item) for item in json.loads(output or "[]")]
        return tuple(sorted(found, key=lambda item: item.at))

    def _end(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.communicate()
