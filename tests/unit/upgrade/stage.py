"""A stack of which nothing is real, for the order of a change and for what follows a failure of each of its steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra import names
from ops.errors import DeployError
from ops.upgrade.versions import Change

ROWS = {"public.chats": 2, "public.messages": 7}


@dataclasses.dataclass
class Stage:
    """`runs` is the version of the server, `done` what happened, `fails` the beginning of the step that does not go.

    With `fails_late` a deployment fails after the new version has come up.
    """

    what: str = names.POSTGRES
    runs: str = "15.20"
    deploys: str = "17.12"
    fails: str = ""
    error: BaseException = dataclasses.field(default_factory=lambda: DeployError("made to fail"))
    done: list[str] = dataclasses.field(default_factory=list)
    away: set[str] = dataclasses.field(default_factory=set)
    folders: set[str] = dataclasses.field(default_factory=lambda: {"15"})
    said: list[str] = dataclasses.field(default_factory=list)
    rows: Mapping[str, int] = dataclasses.field(default_factory=lambda: dict(ROWS))
    keys: int = 5
    command: str = "./pidea upgrade staging postgres"
    memory_bytes: int = 1 << 30

    def note(self, step: str) -> None:
        """It happens, unless it is the one that fails, once."""
        if self.fails and step.startswith(self.fails):
            self.fails = ""
            raise self.error
        self.done.append(step)

    def say(self, line: str) -> None:
        self.said.append(line)

    @property
    def service(self) -> Stage:
        return self

    @property
    def members(self) -> Stage:
        return self

    @property
    def data(self) -> Stage:
        return self

    @property
    def plan(self) -> Stage:
        return self

    def ask(self, *arguments: str, say: object = None) -> dict[str, Any]:
        self.note(f"backup: {' '.join(arguments)}")
        return {"rows": dict(self.rows)}

    def run(self, member: str, command: Sequence[str]) -> str:
        table = command[-1].rpartition(" ")[2].strip("'")
        return f"{self.rows[table]}\n" if table in self.rows else f"{self.keys}\n"

    def shell(self, script: str) -> str:
        self.note(f"volume: {script}")
        if "mv /data/17 " in script:
            self.folders.discard("17")
        return ""

    def stop(self, service: str) -> None:
        self.note(f"stop {service}")
        self.away.add(service)

    def start(self, service: str) -> None:
        self.note(f"start {service}")
        self.away.discard(service)

    def stopped(self) -> list[str]:
        return [name for name in (names.REDIS, names.POSTGRES, names.BACKUP, names.APP) if name in self.away]

    def deploy(self, services: Sequence[str]) -> None:
        if not self.fails.startswith("late"):
            self.note("deploy " + ",".join(services))
        self.away -= set(services)
        self.runs = self.deploys
        self.note("late deploy")

    def image(self) -> str:
        return f"image of {self.runs}"

    def running(self) -> str:
        return self.runs

    def patiently(self, ask: Callable[[], Any]) -> Any:
        return ask()

    def require_version(self, change: Change) -> None:
        self.note("version")
        assert self.runs == change.wanted
