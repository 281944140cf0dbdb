"""A failed update rolls back by itself only if Swarm can notice the failure in time, and has what to go back to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.model import Parameters, Rule, Severity
from policies.view import SERVICE, View, component

CHECK: Final = ("taskSpec", "containerSpec", "healthcheck")
# Docker's own, where nothing is set.
INTERVAL, RETRIES, MONITOR, GRACE_SECONDS = "30s", 3, "5s", 10.0


def _health_check(service: View, _: Parameters) -> Iterator[str]:
    tests = service.texts(*CHECK, "tests")
    if not tests or tests[0] == "NONE":
        yield "has no health check, so that a broken version counts as running"


def _rolls_back(service: View, _: Parameters) -> Iterator[str]:
    action = service.text("updateConfig", "failureAction", default="pause")
    if action != "rollback":
        yield f"answers a failed update with {action!r}, not with a rollback"
    ratio = service.number("updateConfig", "maxFailureRatio", default=0.0)
    if ratio > 0:
        yield f"counts an update as good although {ratio:.0%} of its tasks fail"


def _watched_long_enough(service: View, _: Parameters) -> Iterator[str]:
    if service.texts(*CHECK, "tests")[:1] in ([], ["NONE"]):
        return  # said by the rule about health checks
    interval = service.seconds(*CHECK, "interval", default=INTERVAL)
    retries = service.number(*CHECK, "retries", default=RETRIES)
    # 0 is Docker's word for "as if it were not set".
    detection = service.seconds(*CHECK, "startPeriod") + (interval or 30.0) * (retries or RETRIES)
    monitor = service.seconds("updateConfig", "monitor", default=MONITOR)
    if monitor < detection:
        yield f"is watched for {monitor:g} s after an update, but can take {detection:g} s to show that it is broken"


def _waited_for(service: View, _: Parameters) -> Iterator[str]:
    if not service.has("convergeConfig"):
        yield "is not waited for, so that `pulumi up` succeeds before the service does"


def _order(service: View, parameters: Parameters) -> Iterator[str]:
    order = service.text("updateConfig", "order", default="stop-first")
    ports = [port for port in service.each("endpointSpec", "ports") if port.text("publishMode") == "host"]
    if order == "start-first" and ports:
        yield "starts the new task before the old one has left the machine's port, so that no update can succeed"
    mounts = service.each("taskSpec", "containerSpec", "mounts")
    volumes = [mount for mount in mounts if mount.text("type") == "volume" and not mount.flag("readOnly")]
    if order == "start-first" and volumes and component(service) not in parameters.get("sharing", ()):
        yield "starts the new task while the old one still writes to the same volume"


def _stop_grace(service: View, _: Parameters) -> Iterator[str]:
    if not service.has("taskSpec", "containerSpec", "stopGracePeriod"):
        yield f"does not say how long its stop may take; Docker kills it after {GRACE_SECONDS:g} s"
    elif service.seconds("taskSpec", "containerSpec", "stopGracePeriod") <= 0:
        yield "is killed at once when it is to stop"


RULES: Final = (
    Rule(
        id="has-health-check",
        title="Every service has a health check",
        severity=Severity.HIGH,
        description="Swarm knows of a container only that it runs. Whether it works, a health check tells.",
        remediation="Set taskSpec.containerSpec.healthcheck to a command that fails when the service does not serve.",
        references=("CIS Docker 1.6: 5.27",),
        types=(SERVICE,),
        judge=_health_check,
    ),
    Rule(
        id="rolls-back",
        title="A failed update is rolled back",
        severity=Severity.HIGH,
        description="Docker's default pauses a failed update: half old, half new, until somebody looks.",
        remediation="Set updateConfig.failureAction to rollback and maxFailureRatio to 0.",
        types=(SERVICE,),
        judge=_rolls_back,
    ),
    Rule(
        id="watched-long-enough",
        title="An update is watched until its failure can show",
        severity=Severity.HIGH,
        description="A monitor shorter than the health check takes to fail lets a broken version count as good.",
        remediation="Set updateConfig.monitor to at least start period + interval × retries.",
        types=(SERVICE,),
        judge=_watched_long_enough,
    ),
    Rule(
        id="is-waited-for",
        title="`pulumi up` waits for the service",
        severity=Severity.MEDIUM,
        description="Without it a deployment that was rolled back in silence is shown as a success.",
        remediation="Set convergeConfig.",
        types=(SERVICE,),
        judge=_waited_for,
    ),
    Rule(
        id="update-order-fits",
        title="The order of an update suits ports and volumes",
        severity=Severity.HIGH,
        description="Two tasks cannot hold one port of a machine, and must not write to one volume at the same time.",
        remediation="Set updateConfig.order to stop-first.",
        types=(SERVICE,),
        judge=_order,
        parameters={
            "sharing": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Components whose tasks are made to share a volume.",
            }
        },
    ),
    Rule(
        id="stops-in-time",
        title="A service has the time that its stop needs",
        severity=Severity.LOW,
        description="A database that is killed before it is through must recover; a server drops its requests.",
        remediation="Set taskSpec.containerSpec.stopGracePeriod.",
        types=(SERVICE,),
        judge=_stop_grace,
    ),
)
