"""The clients inside: one service on every node, on the stores' networks, with the stack's own secrets."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import docker

from infra import names
from ops.chaos import image
from ops.chaos.target import SERVICE_LABEL, SILENT, Target
from ops.errors import DeployError
from ops.stack import swarm

LABEL = "dev.pidea.chaos"
PYTHON = "/opt/venv/bin/python"
_MIB = 2**20
_SECOND = 10**9
_START_SECONDS = 90.0
_ASK_SECONDS = 90.0
_ROUNDS = 3
_GONE_SECONDS = 40.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """`seconds` is the longest that the clients write; `writes_per_second` is each writer's rate."""

    run: str
    seconds: float
    writes_per_second: float


def service(target: Target, slot: int) -> str:
    """The name in Docker of the clients on node `slot`."""
    return names.physical(target.instance, f"chaos-{slot}")


@contextlib.contextmanager
def running(target: Target, plan: Plan) -> Iterator[None]:
    """The clients, from before the block to after it, whatever happens in it. Waits until all have started."""
    reference = image.ensure(target, image.application(target))
    remove(target)
    try:
        with swarm.client(where=target.manager()) as api:
            secrets = secrets_of(api, target)
            # The application finds PostgreSQL on the same.
            networks = networks_of(api, next(iter(target.members(names.REDIS).values())))
            for node in target.nodes:
                api.create_service(  # type: ignore[no-untyped-call]
                    template(
                        target,
                        reference,
                        environment(target, plan, node.slot),
                        secrets=secrets,
                        networks=networks,
                        slot=node.slot,
                        label=LABEL,
                    ),
                    name=service(target, node.slot),
                    labels={LABEL: target.instance},
                    mode=docker.types.ServiceMode("replicated", 1),
                    endpoint_spec=docker.types.EndpointSpec(mode="dnsrr"),
                )
        _wait(lambda: not missing(target), _START_SECONDS, "The clients inside do not start")
        yield
    finally:
        remove(target)


def missing(target: Target) -> list[int]:
    """The nodes on which the clients do not run."""
    return [node.slot for node in target.nodes if container(target, node.slot) is None]


def container(target: Target, slot: int) -> str | None:
    """The running container of the clients on node `slot`."""
    with contextlib.suppress(*SILENT), target.engine(target.node(slot)) as api:
        filters = {"label": f"{SERVICE_LABEL}={service(target, slot)}", "status": "running"}
        for found in api.containers(filters=filters):
            return str(found["Id"])
    return None


def remove(target: Target) -> None:
    """Removes the clients' services, also those of a run that crashed, and waits until their containers are gone."""
    with swarm.client(where=target.manager()) as api:
        for found in api.services(filters={"label": f"{LABEL}={target.instance}"}):  # type: ignore[no-untyped-call]
            with contextlib.suppress(docker.errors.NotFound):
                api.remove_service(found["ID"])  # type: ignore[no-untyped-call]
    with contextlib.suppress(DeployError):  # a node that is away ends them when it is back
        _wait(lambda: len(missing(target)) == len(target.nodes), _GONE_SECONDS, "The clients inside do not end")


def ask(target: Target, what: str, run: str, since: float = 0.0) -> list[str]:
    """What `python -m chaos.ask WHAT RUN` prints, on the first node where it can be run. Raises DeployError."""
    command = [PYTHON, "-m", "chaos.ask", what, run, str(int(since * 1000))]
    said = "no client runs"
    for attempt in range(_ROUNDS):
        for node in target.nodes:
            found = container(target, node.slot)
            if found is None:
                continue
            try:
                with target.engine(node, _ASK_SECONDS) as api:
                    made = api.exec_create(found, command)["Id"]
                    output, errors = api.exec_start(made, demux=True)
                    if api.exec_inspect(made)["ExitCode"] == 0:
                        return (output or b"").decode().split()
                    said = (errors or b"").decode(errors="replace").strip().rpartition("\n")[2]
            except SILENT as error:
                said = str(error)
        time.sleep(2 * (attempt + 1))
    raise DeployError(f"What is stored of {what} cannot be found out: {said}")


def template(
    target: Target,
    reference: str,
    variables: Mapping[str, str],
    *,
    secrets: Mapping[str, Mapping[str, str]],
    networks: Sequence[str],
    slot: int,
    label: str,
    arguments: Sequence[str] = (),
    memory_mib: int = 128,
) -> dict[str, Any]:
    """A service on node `slot` with the clients' image. `arguments` is what it runs instead of the clients."""
    limits = {"MemoryBytes": memory_mib * _MIB, "NanoCPUs": _SECOND // 2}
    return {
        "ContainerSpec": {
            "Image": reference,
            **({"Args": [*arguments]} if arguments else {}),
            "Labels": {label: target.instance},
            "User": f"{names.APP_UID}:{names.APP_UID}",
            "ReadOnly": True,
            "CapabilityDrop": ["ALL"],
            "Env": [f"{key}={value}" for key, value in variables.items()],
            "Secrets": [
                {
                    "SecretID": found["id"],
                    "SecretName": found["name"],
                    "File": {"Name": name, "UID": str(names.APP_UID), "GID": str(names.APP_UID), "Mode": 0o400},
                }
                for name, found in secrets.items()
            ],
        },
        "Networks": [{"Target": network} for network in networks],
        "Resources": {"Limits": limits},
        "RestartPolicy": {"Condition": "any", "Delay": 2 * _SECOND},
        "Placement": {"Constraints": [f"node.labels.{names.SLOT_LABEL}=={slot}"] if len(target.nodes) > 1 else []},
        # The whole run is read from the engine's own log.
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "50m", "max-file": "2"}},
    }


_ACCOUNTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "CHAOS_REDIS": (names.REDIS_ADMIN_USERNAME, names.REDIS_ADMIN_PASSWORD),
        # An operator among the sentinels has the same name and password.
        "CHAOS_SENTINEL": (names.REDIS_ADMIN_USERNAME, names.REDIS_ADMIN_PASSWORD),
        "CHAOS_POSTGRES": (names.POSTGRES_APP_USERNAME, names.POSTGRES_APP_PASSWORD),
        "CHAOS_STATISTICS": (names.POSTGRES_EXPORTER_USERNAME, names.POSTGRES_EXPORTER_PASSWORD),
    }
)


def environment(target: Target, plan: Plan, slot: int) -> Mapping[str, str]:
    """What the clients are told: who is there, and in which files the passwords are."""
    found = {
        "CHAOS_RUN": plan.run,
        "CHAOS_SLOT": str(slot),
        "CHAOS_SECONDS": f"{plan.seconds:g}",
        "CHAOS_WRITES_PER_SECOND": f"{plan.writes_per_second:g}",
        "CHAOS_REDIS": json.dumps(target.members(names.REDIS)),
        "CHAOS_SENTINELS": json.dumps(target.members(names.SENTINEL)),
        "CHAOS_SENTINEL_SERVICE": names.REDIS_PRIMARY,
        "CHAOS_POSTGRES": json.dumps(target.members(names.POSTGRES)),
        "CHAOS_DATABASE": names.POSTGRES_DATABASE,
    }
    for prefix, (username, secret) in _ACCOUNTS.items():
        found |= {f"{prefix}_USERNAME": username, f"{prefix}_PASSWORD_FILE": names.secret_path(secret)}
    return found


def secrets_of(api: docker.APIClient, target: Target) -> dict[str, dict[str, str]]:
    """The newest secret of each logical name that is needed."""
    wanted = {secret for _, secret in _ACCOUNTS.values()}
    found: dict[str, dict[str, str]] = {}
    for item in sorted(api.secrets(), key=lambda one: str(one["CreatedAt"])):
        for name in wanted:
            if str(item["Spec"]["Name"]).startswith(f"{names.physical(target.instance, name)}-v"):
                found[name] = {"id": item["ID"], "name": item["Spec"]["Name"]}
    if absent := wanted - set(found):
        raise DeployError(f"The stack has no secret {', '.join(sorted(absent))}; bring it up again.")
    return found


def networks_of(api: docker.APIClient, service: str) -> list[str]:
    """The ids of the networks that a service (its name in Docker) is on."""
    found = api.inspect_service(service)  # type: ignore[no-untyped-call]
    return [str(network["Target"]) for network in found["Spec"]["TaskTemplate"]["Networks"]]


def _wait(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise DeployError(f"{otherwise} within {seconds:.0f} s; see `docker service ps`.")
        time.sleep(0.5)
