"""Who may talk to whom: one overlay network for each conversation, and no other way."""

from __future__ import annotations

from infra import names
from infra.settings import StackSettings
from infra.spec import NetworkSpec

# The order decides the subnet: add at the end.
_NETWORKS = (names.PUBLIC, names.WEB, names.DATA, names.TELEMETRY, names.CONSENSUS, names.EGRESS)


def plan(settings: StackSettings) -> tuple[NetworkSpec, ...]:
    """The networks, each with a /24 of `network.cidr`. Only public and egress have a way out."""
    absent = {
        *((names.CONSENSUS,) if settings.postgres.standbys == 0 else ()),
        *((names.EGRESS,) if not settings.alertmanager.receivers and not settings.backup.secrets else ()),
    }
    subnets = settings.network.cidr.subnets(new_prefix=24)
    return tuple(
        NetworkSpec(
            name=name,
            subnet=str(subnet),
            # Named because Docker would choose it, and the provider take its choice for a change.
            gateway=str(subnet[1]),
            internal=name not in (names.PUBLIC, names.EGRESS),
            encrypted=settings.network.encrypted,
        )
        for name, subnet in zip(_NETWORKS, subnets, strict=False)
        if name not in absent
    )


def subnet(settings: StackSettings, network: str) -> str:
    """The addresses of a network of the plan, `10.88.4.0/24`."""
    return next(found.subnet for found in plan(settings) if found.name == network)
