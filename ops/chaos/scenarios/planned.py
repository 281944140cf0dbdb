"""What is done to a stack in the course of its life, and a failure in the middle of it."""

from __future__ import annotations

import subprocess

from infra import names
from ops import console, looking
from ops.chaos.goals import Kind
from ops.chaos.scenario import Scenario
from ops.chaos.stage import Stage
from ops.cluster import postgres, redis, redis_hand_over
from ops.errors import DeployError, UsageError
from ops.stack.backups import Service

# Into an update: the first new task has started, the last old one still runs.
_INTO_UPDATE_SECONDS = 8.0
_BAD_VERSION = ("sh", "-c", "sleep 1; exit 3")
# Into a backup: PostgreSQL's base is being read.
_INTO_BACKUP_SECONDS = 2.0
_BACKUP_SECONDS = 180.0
# In a random sequence the fault before may not be over yet. The hand-over itself refuses what is left.
_WHOLE_SECONDS = 60.0


def _hand_over_redis(stage: Stage) -> None:
    layout = redis.layout(stage.target.plan)
    if layout is None:
        raise UsageError("This stack has one Redis: there is nobody to hand it over to.")
    run = stage.members().run
    looking.until_none(lambda: redis.problems(layout, run), _WHOLE_SECONDS, indent="    ")
    stage.done(f"Redis handed over from {stage.redis_primary()}")
    done = redis_hand_over.hand_over(layout, run)
    stage.over()
    console.say(f"    {done.old} to {done.new}, {done.milliseconds} ms without a primary by its own account")


def _hand_over_postgres(stage: Stage) -> None:
    members = [*stage.target.members(names.POSTGRES)]
    if len(members) < 2:
        raise UsageError("This stack has one PostgreSQL: there is nobody to hand it over to.")
    run = stage.members().run
    looking.until_none(lambda: postgres.problems(postgres.look_at_all(run, members)), _WHOLE_SECONDS, indent="    ")
    stage.done(f"PostgreSQL handed over from {stage.postgres_primary()}")
    postgres.hand_over(run, members, say=lambda line: console.say(f"    {line}"))
    stage.over()


def _roll_app(stage: Stage) -> None:
    stage.done("the application's replicas replaced")
    stage.roll(names.APP)
    stage.over()


def _bad_app(stage: Stage) -> None:
    stage.done("a version of the application that ends at once")
    stage.roll(names.APP, command=_BAD_VERSION)
    stage.over()


def _roll_edge(stage: Stage) -> None:
    stage.done("the edges replaced")
    stage.roll(names.EDGE)
    stage.over()


def _roll_and_kill(stage: Stage) -> None:
    stage.done("the application's replicas replaced")
    stage.roll(names.APP, wait=False)
    stage.hold(_INTO_UPDATE_SECONDS)
    stage.kill_container(stage.redis_primary())
    stage.wait_for_update(names.APP)
    stage.over()


def _backup_and_kill(stage: Stage) -> None:
    service = Service(stage.target.stack, stage.target.plan)
    with service.start("now") as backup:
        try:
            stage.hold(_INTO_BACKUP_SECONDS)
            if backup.poll() is not None:
                raise DeployError(f"The backup ended before the fault, with exit code {backup.returncode}.")
            stage.kill_container(stage.postgres_primary())
            # It goes on with another server or says that it could not; it must not hang.
            backup.communicate(timeout=_BACKUP_SECONDS)
        except subprocess.TimeoutExpired:
            raise DeployError(f"The backup under way did not end within {_BACKUP_SECONDS:.0f} s.") from None
        finally:
            backup.kill()
    console.say(f"    the backup under way {'failed' if backup.returncode else 'went through'}")
    # Raises DeployError where the next one fails: what was left behind must not stand in its way.
    done = service.ask("now")
    console.say(f"    the next one took {sum(one['duration_seconds'] for one in done.values()):.1f} s")


SCENARIOS = (
    Scenario(
        name="hand-over-redis",
        summary="Another Redis server is made the primary, in order",
        kind=Kind.PLANNED,
        act=_hand_over_redis,
        needs_lab=False,
    ),
    Scenario(
        name="hand-over-postgres",
        summary="Another PostgreSQL server is made the primary, in order",
        kind=Kind.PLANNED,
        act=_hand_over_postgres,
        needs_lab=False,
    ),
    Scenario(
        name="roll-app",
        summary="Every replica of the application is replaced, as by a deployment",
        kind=Kind.PLANNED,
        act=_roll_app,
        needs_lab=False,
    ),
    Scenario(
        name="bad-app",
        summary="A version of the application is deployed that does not run, and is taken back",
        kind=Kind.PLANNED,
        act=_bad_app,
        needs_lab=False,
    ),
    Scenario(
        name="roll-edge",
        summary="Every edge is replaced, as by a deployment",
        kind=Kind.PLANNED,
        act=_roll_edge,
        # An edge's port is its node's: who knows no other edge waits for the new one.
        without=frozenset({"failed_surviving_edges"}),
        needs_lab=False,
    ),
    Scenario(
        name="roll-app-and-kill",
        summary="The Redis primary is killed while the application's replicas are replaced",
        kind=Kind.KILL,
        act=_roll_and_kill,
        needs_lab=False,
    ),
    Scenario(
        name="backup-and-kill",
        summary="The PostgreSQL primary is killed while a backup is made; the next backup must succeed",
        kind=Kind.KILL,
        act=_backup_and_kill,
        needs_lab=False,
    ),
)
