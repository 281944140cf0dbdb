"""What must hold between the parts of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from infra.errors import PlanError
from infra.spec import DeploymentPlan


def check(plan: DeploymentPlan) -> None:
    """Raises PlanError where the plan names something twice, or something that it does not contain."""
    problems = [
        *_twice("service", (s.name for s in plan.services)),
        *_twice("volume", (v.name for v in plan.volumes)),
        *_twice("secret", (s.name for s in plan.secrets)),
        *_twice("config", (c.name for c in plan.configs)),
        *_twice("published port", (str(port) for port in plan.published_ports)),
        *_unknown(plan),
        *_monitors(plan),
        *_backups(plan),
    ]
    if problems:
        raise PlanError("\n".join(problems))


def _twice(kind: str, found: Iterable[str]) -> list[str]:
    return [f"{kind} {name} is in the plan {n} times" for name, n in Counter(found).items() if n > 1]


def _unknown(plan: DeploymentPlan) -> list[str]:
    known = {
        "network": {n.name for n in plan.networks},
        "volume": {v.name for v in plan.volumes},
        "secret": {s.name for s in plan.secrets},
        "config": {c.name for c in plan.configs},
        "image": {i.name for i in plan.images},
    }
    problems = [
        f"{service.name} uses {kind} {name}, which is not in the plan"
        for service in plan.services
        for kind, used in {
            "network": service.networks,
            "volume": tuple(m.volume for m in service.volumes),
            "secret": tuple(m.secret for m in service.secrets),
            "config": tuple(m.config for m in service.configs),
            "image": (service.image,),
        }.items()
        for name in used
        if name not in known[kind]
    ]
    problems += [
        f"secret {secret.name} is made of {source}, which is not in the plan"
        for secret in plan.secrets
        for source in secret.sources
        if source not in known["secret"]
    ]
    return problems


def _monitors(plan: DeploymentPlan) -> list[str]:
    return [
        f"{s.name} is watched for {s.update.monitor_seconds} s after an update, but can take "
        f"{s.healthcheck.worst_detection_seconds} s to show that it is broken"
        for s in plan.services
        if s.update.monitor_seconds < s.healthcheck.worst_detection_seconds
    ]


def _backups(plan: DeploymentPlan) -> list[str]:
    return [
        f"volume {v.name} must have a backup plan or a reason why it needs none" + (", not both" if v.backup else "")
        for v in plan.volumes
        if bool(v.backup) == bool(v.no_backup)
    ]
