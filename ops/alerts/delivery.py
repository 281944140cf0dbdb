"""While alerts are proven the witness is told of them, and nobody else: Alertmanager's receivers are its alone."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import docker

from infra import names
from infra.plan import alertmanager
from infra.routing import AlertmanagerSettings, WebhookReceiver
from infra.settings import StackSettings
from infra.spec import ConfigSpec
from ops.alerts import witness
from ops.chaos.stage import Stage
from ops.chaos.target import Target
from ops.errors import DeployError
from ops.stack import settings, swarm

# On the Docker config that takes the place of the stack's own: which one that was.
_REPLACES = "dev.pidea.alerts.replaces"
_CONFIG = "alertmanager-yml"


def routed(found: StackSettings, url: str) -> StackSettings:
    """A stack's settings with the witness, who is at `url`, in place of every receiver."""
    told = found.alertmanager
    instead = AlertmanagerSettings(
        replicas=told.replicas,
        receivers=(WebhookReceiver(name=witness.NAME, kind="webhook", url=url),),
        critical=(witness.NAME,),
        warning=(witness.NAME,),
        runbooksUrl=told.runbooks_url,
    )
    return found.model_copy(update={"alertmanager": instead})


@contextlib.contextmanager
def to_witness(target: Target) -> Iterator[None]:
    """Has the witness told until the block ends. What a run that crashed has left is put right first."""
    restore(target)
    found = StackSettings.from_config(settings.read_config(target.stack))
    _replace(target, alertmanager.config(routed(found, witness.url(target))))
    try:
        yield
    finally:
        restore(target)


def restore(target: Target) -> None:
    """Puts the stack's own configuration back wherever ours is, and removes ours."""
    with swarm.client(where=target.manager()) as api:
        ours = _ours(api, target)
    if not ours:
        return
    for service in target.members(names.ALERTMANAGER):
        _update(target, service, {id_: labels[_REPLACES] for id_, labels in ours.items()})
    with swarm.client(where=target.manager()) as api:
        for id_ in ours:
            api.remove_config(id_)  # type: ignore[no-untyped-call]


def _replace(target: Target, wanted: ConfigSpec) -> None:
    with swarm.client(where=target.manager()) as api:
        before = _mounted(api, target, next(iter(target.members(names.ALERTMANAGER))))
        digest = hashlib.sha256(wanted.content.encode()).hexdigest()[:12]
        made = api.create_config(
            name=names.physical(target.instance, f"{_CONFIG}-{witness.NAME}-{digest}"),
            data=wanted.content.encode(),
            labels={witness.LABEL: target.instance, _REPLACES: before},
        )
    for service in target.members(names.ALERTMANAGER):
        _update(target, service, {before: str(made["ID"])})


def _ours(api: docker.APIClient, target: Target) -> dict[str, Mapping[str, str]]:
    found = api.configs(filters={"label": f"{witness.LABEL}={target.instance}"})  # type: ignore[no-untyped-call]
    return {str(one["ID"]): one["Spec"].get("Labels") or {} for one in found}


def _mounted(api: docker.APIClient, target: Target, service: str) -> str:
    physical = names.physical(target.instance, service)
    spec = api.inspect_service(physical)["Spec"]  # type: ignore[no-untyped-call]
    for one in spec["TaskTemplate"]["ContainerSpec"].get("Configs") or []:
        if _CONFIG in one["ConfigName"]:
            return str(one["ConfigID"])
    raise DeployError(f"{physical} has no configuration; `./pidea up {target.stack.arguments}` puts that right.")


def _update(target: Target, service: str, instead: Mapping[str, str]) -> None:
    """Has a service mount other configs, by id, in place of those that it has; waits until it does."""
    with swarm.client(where=target.manager()) as api:
        found = api.inspect_service(names.physical(target.instance, service))  # type: ignore[no-untyped-call]
        spec: dict[str, Any] = found["Spec"]
        mounts = spec["TaskTemplate"]["ContainerSpec"].get("Configs") or []
        if not any(one["ConfigID"] in instead for one in mounts):
            return
        for one in mounts:
            if one["ConfigID"] in instead:
                other = api.inspect_config(instead[one["ConfigID"]])  # type: ignore[no-untyped-call]
                one |= {"ConfigID": other["ID"], "ConfigName": other["Spec"]["Name"]}
        api.update_service(
            found["ID"],
            found["Version"]["Index"],
            task_template=spec["TaskTemplate"],
            name=spec["Name"],
            labels=spec.get("Labels"),
            mode=spec["Mode"],
            update_config=spec.get("UpdateConfig"),
            rollback_config=spec.get("RollbackConfig"),
            endpoint_spec=spec.get("EndpointSpec"),
        )
    time.sleep(1.0)  # before that the state may be the one of the update before
    Stage(target, dict).wait_for_update(service)
