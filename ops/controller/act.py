"""Does a repair. Each is a few commands; what is left half done, the next looks find again."""

from __future__ import annotations

from redis.exceptions import ResponseError

from ops.controller.decision import Decision, Repair
from ops.controller.settings import Settings
from ops.controller.talk import split, talk


class RepairError(Exception):
    """Raised when a server or sentinel did not do what it was told, or is not what it was any more."""


async def act(settings: Settings, decision: Decision) -> None:
    """Does `decision.repair`. Raises RepairError or one of `talk.FAILURES`."""
    match decision.repair:
        case Repair.PROMOTE:
            best, *others = decision.subjects
            await _promote(settings, best)
            for other in others:
                await _follow(settings, other, best)
        case Repair.FOLLOW:
            (server,) = decision.subjects
            await _follow(settings, server, decision.primary)
        case Repair.MONITOR:
            await _monitor(settings, decision.subjects, decision.primary)
        case Repair.RESET:
            (sentinel,) = decision.subjects
            await _tell(settings, sentinel, ("SENTINEL", "RESET", settings.service))
        case None:
            raise RepairError(f"{decision.finding} has no repair")


async def _promote(settings: Settings, server: str) -> None:
    async with talk(server, settings.server_login, settings.answer_seconds) as connection:
        _expect_ok(await connection.ask("REPLICAOF", "NO", "ONE"), server)


async def _follow(settings: Settings, server: str, primary: str) -> None:
    host, port = split(primary)
    async with talk(server, settings.server_login, settings.answer_seconds) as connection:
        _expect_ok(await connection.ask("REPLICAOF", host, str(port)), server)
        # Whoever took it for the primary shall ask the sentinels again.
        for kind in ("normal", "pubsub"):
            await connection.ask("CLIENT", "KILL", "TYPE", kind)


async def _monitor(settings: Settings, sentinels: tuple[str, ...], primary: str) -> None:
    """What they watched is taken from all of them first: else one that still has it would tell it to the others."""
    for sentinel in sentinels:
        await _tell(settings, sentinel, ("SENTINEL", "REMOVE", settings.service), may_fail=True)
    host, port = split(primary)
    options = ["down-after-milliseconds", str(settings.down_after_milliseconds)]
    options += ["failover-timeout", str(settings.failover_timeout_milliseconds)]
    options += ["parallel-syncs", str(max(1, len(settings.servers) - 1))]
    if settings.watch_login.password:
        # The sentinel's log shows stars in place of the password.
        options += ["auth-user", settings.watch_login.username] if settings.watch_login.username else []
        options += ["auth-pass", settings.watch_login.password]
    for sentinel in sentinels:
        watch = ("SENTINEL", "MONITOR", settings.service, host, str(port), str(settings.quorum))
        await _tell(settings, sentinel, watch, ("SENTINEL", "SET", settings.service, *options))


async def _tell(settings: Settings, sentinel: str, *commands: tuple[str, ...], may_fail: bool = False) -> None:
    async with talk(sentinel, settings.sentinel_login, settings.answer_seconds) as connection:
        for command in commands:
            try:
                await connection.ask(*command)
            except ResponseError:
                if not may_fail:
                    raise


def _expect_ok(answer: object, server: str) -> None:
    if not str(answer).startswith("OK"):
        raise RepairError(f"{server} answered {answer}")
