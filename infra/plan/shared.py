"""What subsystems share in describing themselves."""

from __future__ import annotations

from infra import names
from infra.settings import StackSettings
from infra.spec import HealthcheckSpec, PlacementSpec, UpdatePolicy

# Swarm notices a failed task a little after its health check did.
_MONITOR_MARGIN_SECONDS = 5

ONE_PER_NODE = PlacementSpec(max_replicas_per_node=1)


def on_slot(slot: int) -> PlacementSpec:
    """On the node with that number and no other: its volume is there."""
    return PlacementSpec(constraints=(f"node.labels.{names.SLOT_LABEL}=={slot}",))


def user(uid: int) -> str:
    """The service specification's user for a user id whose group has the same number."""
    return f"{uid}:{uid}"


def http_check(settings: StackSettings, image: str, port: int, path: str, start_period_seconds: int) -> HealthcheckSpec:
    """Healthy while `path` answers 200.

    Our images carry `http-ok`. One from elsewhere may be made of them; else one can at best expect wget or curl.
    """
    if image not in settings.images:
        command: tuple[str, ...] = ("CMD", "http-ok", str(port), path)
    else:
        url = f"http://127.0.0.1:{port}{path}"
        asked = (f"http-ok {port} {path}", f"wget -q -T 2 -O /dev/null {url}", f"curl -fsS -m 2 -o /dev/null {url}")
        # By the first that is there, and by no other: what it says is the reason that `up` gives.
        first = "; ".join(f"command -v {one.split()[0]} >/dev/null && exec {one}" for one in asked)
        command = ("CMD-SHELL", f"{first}; echo the image has neither http-ok nor wget nor curl; exit 1")
    if settings.nodes == 1:
        return HealthcheckSpec(command=command, start_period_seconds=start_period_seconds)
    # Each check starts a process in the container, some 0.1 s of processor time. Where there are replicas a service can
    # wait a little longer for its turn. A check that an overloaded node does not get to must not end what it checks:
    # starting it again would cost the node even more.
    return HealthcheckSpec(
        command=command, start_period_seconds=start_period_seconds, interval_seconds=10, timeout_seconds=10, retries=2
    )


def replace_in_place(healthcheck: HealthcheckSpec) -> UpdatePolicy:
    """For what holds a volume or a port of the machine: the old task must be gone before the new one can start."""
    return UpdatePolicy(order="stop-first", monitor_seconds=_monitor_seconds(healthcheck))


def replace_beside(healthcheck: HealthcheckSpec) -> UpdatePolicy:
    """For what holds nothing: the old task serves until the new one is healthy."""
    return UpdatePolicy(order="start-first", monitor_seconds=_monitor_seconds(healthcheck))


def _monitor_seconds(healthcheck: HealthcheckSpec) -> int:
    # Shorter, and a version that never becomes healthy would count as a success.
    return healthcheck.worst_detection_seconds + _MONITOR_MARGIN_SECONDS
