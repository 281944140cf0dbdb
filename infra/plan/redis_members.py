"""What the servers and the sentinels of a Redis cluster share in describing themselves."""

from __future__ import annotations

from collections.abc import Mapping

from infra import names
from infra.settings import StackSettings
from infra.spec import SecretMount

# More would not make it safer, only each vote slower.
_MOST_SENTINELS = 7
# Redis and Sentinel look up names on their only thread. A member that is away has no name, and that must be known in
# milliseconds: with `ndots` Docker's resolver does not pass names without a dot on to the machine's.
DNS_OPTIONS = ("ndots:1", "timeout:1", "attempts:1")


def servers(settings: StackSettings) -> tuple[str, ...]:
    """The logical names of the servers; the first is the primary of a new cluster."""
    return tuple(names.member(names.REDIS, slot) for slot in range(1, settings.redis.replicas + 2))


def sentinels(settings: StackSettings) -> tuple[str, ...]:
    """The logical names of the sentinels: one a node, an odd number."""
    count = min(settings.nodes, _MOST_SENTINELS)
    return tuple(names.member(names.SENTINEL, slot) for slot in range(1, count + 1))


def environment(settings: StackSettings, member: str) -> Mapping[str, str]:
    """What the entrypoints in `images/redis/` go by."""

    def hosts(members: tuple[str, ...]) -> str:
        return " ".join(names.physical(settings.instance, name) for name in members)

    return {
        "MEMBER": names.physical(settings.instance, member),
        "MEMBERS": hosts(servers(settings)),
        "SENTINELS": hosts(sentinels(settings)),
        "PRIMARY": names.REDIS_PRIMARY,
        "REDIS_PORT": str(names.REDIS_PORT),
        "SENTINEL_PORT": str(names.SENTINEL_PORT),
        "MONITORING_USER": names.REDIS_EXPORTER_USERNAME,
        "REPLICATION_USER": names.REDIS_REPLICATION_USERNAME,
        "SENTINEL_USER": names.REDIS_SENTINEL_USERNAME,
    }


def secret_mounts(*secrets: str) -> tuple[SecretMount, ...]:
    """Secrets under their own names, for the user that servers and sentinels run as."""
    return tuple(SecretMount(secret=name, target=name, uid=names.REDIS_UID) for name in secrets)
