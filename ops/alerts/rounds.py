"""What is caused at once and what after it, on each kind of stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ops.alerts.fault import Fault, Kind, Round
from ops.alerts.faults import app, backups, cluster, postgres, redis, services, watching
from ops.errors import UsageError

# What is critical comes after the warnings about the same service, which Alertmanager keeps to itself meanwhile. The
# first rounds have the alerts that take longest to be over; the others are proven while those pass.
ROUNDS: Mapping[Kind, tuple[Round, ...]] = MappingProxyType(
    {
        Kind.SINGLE: (
            Round(
                name="apart",
                lanes=(
                    (redis.REFUSED, redis.WRITES_FAILING, redis.DOWN),
                    (services.TARGET_DOWN,),
                    (services.FLAPPING,),
                    (services.OUT_OF_MEMORY,),
                    (postgres.DEADLOCKS, postgres.EXHAUSTED),
                    (app.LAGGING,),
                    (app.CONNECTIONS_FULL,),
                    (watching.NOT_DELIVERED,),
                ),
            ),
            # By itself: it takes a small machine's processors, users wait, and then nobody is told of warnings.
            Round(name="backups", lanes=((backups.DAMAGED, backups.DRILL_FAILED),)),
            Round(name="outage", lanes=((postgres.DOWN,),)),
            Round(name="application", lanes=((services.APP_ABSENT,),)),
            Round(name="edge", lanes=((services.EDGE_ABSENT,),)),
            Round(name="alertmanager", lanes=((watching.NOT_TAKEN,),)),
            Round(name="long", lanes=((postgres.LONG_TRANSACTION,), (postgres.NO_WAL,)), is_long=True),
        ),
        Kind.LAB: (
            Round(
                name="apart",
                lanes=(
                    (cluster.REPLICA_CUT_OFF, cluster.SENTINEL_MISSING),
                    (cluster.MEMBERS_MISSING,),
                    (cluster.EDGE_WITHOUT_TLS,),
                ),
            ),
            Round(name="stores", lanes=((cluster.NO_STANDBY,), (cluster.NO_REDIS_PRIMARY,))),
            Round(name="majority", lanes=((cluster.NO_MAJORITY,),)),
            Round(name="node", lanes=((cluster.NODE_DOWN,),)),
        ),
    }
)


def faults(kind: Kind | None = None) -> tuple[Fault, ...]:
    """All of them, or those of one kind of stack."""
    kinds = tuple(Kind) if kind is None else (kind,)
    return tuple(fault for one in kinds for found in ROUNDS[one] for fault in found.faults)


def chosen(kind: Kind, only: Sequence[str], *, long: bool) -> tuple[Round, ...]:
    """The rounds of a kind of stack; with `only` just the faults, alerts and rounds of these names.

    Raises UsageError for a name that there is not on such a stack.
    """
    everything = ROUNDS[kind]
    if not only:
        return tuple(found for found in everything if long or not found.is_long)
    known = {name for found in everything for fault in found.faults for name in (fault.name, *fault.alerts, found.name)}
    if unknown := [name for name in only if name not in known]:
        raise UsageError(
            f"Nothing called {', '.join(unknown)} is proven on a stack of this kind ({kind.value}); "
            "`./pidea alerts list` shows what is."
        )
    wanted = frozenset(only)
    rounds = []
    for found in everything:
        lanes = tuple(
            tuple(fault for fault in lane if wanted & {fault.name, *fault.alerts, found.name}) for lane in found.lanes
        )
        if any(lanes):
            rounds.append(Round(name=found.name, lanes=tuple(lane for lane in lanes if lane), is_long=found.is_long))
    return tuple(rounds)
