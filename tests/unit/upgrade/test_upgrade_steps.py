"""In what order a version is changed; and whatever goes wrong, the earlier one serves with all that it had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from infra import names
from ops.errors import DeployError
from ops.stack import restore_steps as steps
from ops.upgrade import postgres, redis, transfer
from ops.upgrade.transfer import Contents
from ops.upgrade.versions import Change
from ops.upgrade.work import Work
from tests.unit.upgrade.stage import ROWS, Stage

UP = Change(server=names.POSTGRES, running="15.20", wanted="17.12")
BACK = Change(server=names.POSTGRES, running="17.12", wanted="15.20")
MINOR = Change(server=names.POSTGRES, running="15.18", wanted="15.20")
REDIS_UP = Change(server=names.REDIS, running="7.0.15", wanted="8.0.2")
REDIS_BACK = Change(server=names.REDIS, running="8.0.2", wanted="7.0.15")
Faults = [DeployError("made to fail"), KeyboardInterrupt()]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()

    def transferred(*_: object, **__: object) -> Contents:
        made.note("transfer")
        made.folders.add("17")
        return Contents({("pidea", name): (rows, "1") for name, rows in ROWS.items()}, {})

    monkeypatch.setattr(transfer, "transfer", transferred)
    monkeypatch.setattr(steps, "end_history", lambda *_: made.note("last WAL"))
    monkeypatch.setattr(steps, "volume", lambda _service, name, *_: name)
    monkeypatch.setattr(steps, "empty", lambda name: made.note(f"empty {name if isinstance(name, str) else 'it'}"))
    return made


def go(stage: Stage, change: Change) -> Any:
    """The change as it is made once everything is prepared; gives what it gives."""
    work = cast(Work, stage)
    stage.what, stage.runs, stage.deploys = change.server, change.running, change.wanted
    if change.server == names.REDIS:
        return redis.change_over(
            work, redis.Plan(change=change, old_image=stage.image(), size_bytes=1, free_bytes=1, keys=5), stage.say
        )
    details = postgres.Plan(change=change, old_image="old", new_image="new", size_bytes=1, free_bytes=1, rows=ROWS)
    return postgres.change_over(work, details, stage.say)


def place(done: list[str], beginning: str) -> int:
    (found,) = [number for number, step in enumerate(done) if step.startswith(beginning)]
    return found


def in_order(done: list[str], *beginnings: str) -> bool:
    places = [place(done, beginning) for beginning in beginnings]
    return places == sorted(places)


def test_a_major_version_is_compared_before_users_are_back(stage: Stage) -> None:
    assert go(stage, UP) == ROWS
    assert in_order(
        stage.done,
        *("stop app", "stop postgres", "last WAL", "stop backup", "transfer", "deploy postgres,backup", "version"),
        *("backup: contents", "start app"),
    )
    # The files of before stay.
    assert stage.folders == {"15", "17"}


def test_a_minor_version_keeps_the_files(stage: Stage) -> None:
    stage.deploys = "15.20"
    assert go(stage, MINOR) == ROWS
    assert "transfer" not in stage.done
    assert "last WAL" not in stage.done
    assert [step for step in stage.done if step.startswith(("stop", "start", "deploy"))] == [
        *("stop app", "stop postgres", "deploy postgres,backup", "start app"),
    ]


def test_the_way_back_empties_what_knows_of_newer_rows(stage: Stage) -> None:
    stage.folders = {"15", "17"}
    assert go(stage, BACK) == ROWS
    assert in_order(
        stage.done,
        *("stop app", "stop redis", "stop postgres", "last WAL", "empty redis-data", "empty app-cache"),
        *(
            "deploy postgres,backup",
            "version",
            "backup: contents",
            "volume: [ ! -e /data/17",
            "start redis",
            "start app",
        ),
    )
    assert stage.folders == {"15"}


@pytest.mark.parametrize("fault", Faults, ids=["error", "ctrl-c"])
@pytest.mark.parametrize("fails", ["stop app", "stop postgres", "last WAL", "transfer", "deploy"])
def test_what_fails_before_the_new_version_runs_leaves_the_old_one_serving(
    stage: Stage, fails: str, fault: BaseException
) -> None:
    stage.fails, stage.error = fails, fault
    with pytest.raises(type(fault)):
        go(stage, UP)
    assert (stage.runs, stage.away) == ("15.20", set())
    assert stage.done[-1] == "start app"
    # Users write to the old files from now on: nobody may find the copy in its place.
    assert stage.folders == {"15"}
    assert in_order(stage.done, "volume: [ ! -e /data/17", "start app")
    assert "postgres 15.20 serves as it did, with all that it had" in stage.said


@pytest.mark.parametrize("fails", ["late", "version", "backup: contents"])
def test_users_are_kept_away_from_a_new_version_that_is_not_proven(stage: Stage, fails: str) -> None:
    stage.fails = fails
    with pytest.raises(DeployError):
        go(stage, UP)
    assert "start app" not in stage.done
    assert stage.away == {"app"}
    assert any("the application stays away" in line for line in stage.said)


def test_rows_that_are_missing_keep_users_away(stage: Stage) -> None:
    stage.rows = {**ROWS, "public.messages": 6}
    with pytest.raises(DeployError, match=r"public.messages: 7 rows before, 6 now\n.*role sees 6 rows of 7"):
        go(stage, UP)
    assert "start app" not in stage.done


def test_what_fails_on_the_way_back_leaves_the_newer_version_serving(stage: Stage) -> None:
    stage.folders, stage.fails = {"15", "17"}, "deploy"
    with pytest.raises(DeployError):
        go(stage, BACK)
    assert (stage.runs, stage.away, stage.folders) == ("17.12", set(), {"15", "17"})
    assert stage.done[-1] == "start app"


@pytest.fixture
def counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], Stage]:
    """Redis' files have so many keys, of which so many live on."""

    class Bench:
        def __init__(self, output: str) -> None:
            self.output = output

        def __enter__(self) -> Callable[[str], str]:
            return lambda _script: self.output

        def __exit__(self, *_: object) -> None:
            pass

    def with_keys(most: int, least: int) -> Stage:
        stage.command = "./pidea upgrade staging redis"
        monkeypatch.setattr(redis, "bench", lambda *_, **__: Bench(f"{most}\n{least}\n"))
        return stage

    return with_keys


def test_redis_keeps_its_keys(counted: Callable[[int, int], Stage]) -> None:
    stage = counted(6, 5)
    assert go(stage, REDIS_UP) == 5
    assert in_order(
        stage.done,
        *("stop app", "stop redis", "volume: rm -rf /data/before-upgrade; cp", "deploy redis,backup", "version"),
        *("start app",),
    )
    # A copy that is older than what users wrote must never come back.
    assert stage.done[-1] == "volume: rm -rf /data/before-upgrade"


@pytest.mark.parametrize(("most", "least"), [(9, 6), (4, 3)])
def test_keys_that_are_missing_or_strange_keep_users_away(
    counted: Callable[[int, int], Stage], most: int, least: int
) -> None:
    stage = counted(most, least)
    with pytest.raises(DeployError, match=f"Redis has 5 keys, and had {most}, of which {least} must still be there"):
        go(stage, REDIS_UP)
    assert "start app" not in stage.done


def test_redis_that_does_not_come_up_gets_its_files_back(counted: Callable[[int, int], Stage]) -> None:
    stage = counted(6, 5)
    stage.fails = "deploy"
    with pytest.raises(DeployError):
        go(stage, REDIS_UP)
    assert (stage.runs, stage.away) == ("7.0.15", set())
    assert in_order(
        stage.done,
        "volume: [ ! -e /data/before-upgrade ] || { rm -rf /data/appendonlydir; mv",
        "start redis",
        "start app",
    )


def test_redis_goes_back_empty(counted: Callable[[int, int], Stage]) -> None:
    stage = counted(6, 5)
    stage.keys = 0
    assert go(stage, REDIS_BACK) == 0
    assert in_order(stage.done, "stop app", "stop redis", "empty it", "deploy redis,backup", "start app")
