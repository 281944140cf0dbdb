"""`lab up`: makes a lab, or brings back the nodes of one that is there. Read `up` top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import random
from collections.abc import Iterator
from pathlib import Path

import docker
import requests

from infra.spec import MIB
from ops import console, paths
from ops.errors import HostError, UsageError
from ops.host import engine as engines
from ops.host import sources
from ops.host.lock import only_one
from ops.lab import containers, images, kernel, machine, members, record, remains, shell, tls
from ops.lab.record import Record
from ops.lab.reference import LABEL, Lab
from ops.stack import instances, preflight, swarm
from ops.stack.progress import Steps

NODES_DEFAULT = 3
NODES_MAX = 15
# Measured: three idle nodes and the registry take 520 MiB; what a stack reserves is checked when it goes up.
NODE_MEMORY_BYTES = 160 * MIB
REGISTRY_MEMORY_BYTES = 64 * MIB
# The stack's images once in the registry and once on each node; volumes come on top, as they are written.
NODE_DISK_BYTES = 2048 * MIB
# Apart from 10.0.0.0/8, from which the swarm in the lab and our stacks take their overlay networks.
_POOL = ipaddress.IPv4Network("172.28.0.0/14")
_PREFIX_LENGTH = 24
_ATTEMPTS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Raised:
    """What `up` did: `made` a lab, or found one and brought back the nodes in `healed`."""

    record: Record
    made: bool
    healed: tuple[str, ...]
    steps: tuple[tuple[str, float], ...]


def up(lab: Lab, nodes: int | None = None) -> Raised:
    """The lab, running. `nodes` None: as many as it has, 3 for a new one.

    Raises UsageError, HostError before anything is touched; HostError where making it failed, after removing it.
    """
    check_count(nodes)
    steps = Steps()
    with only_one(lab.local / "labs" / f"{lab.name}.lock", lambda: console.say("  another command is at work on it")):
        known = record.read(lab)
        where = machine.of(known)
        if known is not None and known.complete:
            return _bring_back(lab, known, nodes, steps)
        wanted = nodes or NODES_DEFAULT
        with steps.step("Check this machine"):
            engine = engines.ensure(_say, where)
            with swarm.client(where=where) as api:
                left = remains.find(api, lab)
                remains.require_ours(lab, left)
                preflight.check_memory(wanted * NODE_MEMORY_BYTES + REGISTRY_MEMORY_BYTES)
                preflight.check_disk(Path(api.info().get("DockerRootDir") or "/"), wanted * NODE_DISK_BYTES)
                if left.count:
                    console.say("  what is left of a lab that was not finished is removed first")
                    remains.remove(api, lab, left)
        with steps.step("Images of nodes and registry"), only_one(paths.cache() / "setup.lock"):
            sources.ensure_rootfs(engine, _say)
            with swarm.client(600.0, where=where) as api:
                built = [images.ensure(api, name, sources.ROOTFS) for name in (images.NODE, images.REGISTRY)]
        with swarm.client(where=where) as api, _removed_on_failure(api, lab):
            with steps.step(f"Network, registry and {wanted} nodes"):
                made = _make(api, lab, wanted, where.url, *built)
                members.wait_for_engines(lab, made)
                _check_registry(lab, made)
            with steps.step("Swarm"):
                members.form(lab, made)
                made = dataclasses.replace(made, complete=True, can_encrypt=kernel.can_encrypt(api, lab.container(1)))
                record.write(lab, made)
                members.wait_until_ready(lab, made)
                members.label(lab, made)
    return Raised(record=made, made=True, healed=(), steps=tuple(steps.taken))


def check_count(nodes: int | None) -> None:
    """Raises UsageError for a number of nodes of which no majority, or no lab, can be made."""
    if nodes is None:
        return
    if nodes % 2 == 0:
        raise UsageError(
            f"{nodes} nodes are an even quorum: one more than an odd number survives no further loss, and "
            "halves that do not see each other can both decide nothing. Choose an odd number (--nodes)."
        )
    if not NODES_DEFAULT <= nodes <= NODES_MAX:
        raise UsageError(f"A lab has {NODES_DEFAULT} to {NODES_MAX} nodes, not {nodes} (--nodes).")


def _bring_back(lab: Lab, known: Record, nodes: int | None, steps: Steps) -> Raised:
    if nodes is not None and nodes != known.nodes:
        raise UsageError(
            f"Lab {lab.name!r} is there and has {known.nodes} nodes; "
            f"take it down first (`./pidea lab down{lab.arguments}`), or leave out --nodes."
        )
    healed = []
    with steps.step("Look at the lab"), swarm.client(where=machine.of(known)) as api:
        for container in (lab.registry, *map(lab.container, known.slots)):
            state = _state(api, lab, container)
            if state == "paused":
                api.unpause(container)
            elif state != "running":
                api.start(container)
            if state != "running":
                healed.append(container.removeprefix(f"{lab.docker_name}-"))
    if healed:
        with steps.step(f"Bring back {', '.join(healed)}"):
            members.wait_for_engines(lab, known)
            members.wait_until_ready(lab, known)
    return Raised(record=known, made=False, healed=tuple(healed), steps=tuple(steps.taken))


def _state(api: docker.APIClient, lab: Lab, container: str) -> str:
    try:
        return str(api.inspect_container(container)["State"]["Status"])
    except docker.errors.NotFound:
        raise HostError(
            f"Lab {lab.name!r} has lost its container {container}; take it down (`./pidea lab down{lab.arguments}`) "
            "and up again."
        ) from None


def _make(api: docker.APIClient, lab: Lab, nodes: int, engine: str, node_image: str, registry_image: str) -> Record:
    (port,) = instances.free_ports(1)
    made = Record(nodes=nodes, subnet="", registry_port=port, engine=engine)
    record.write(lab, made)
    made = dataclasses.replace(made, subnet=_make_network(api, lab))
    record.write(lab, made)
    for slot in made.slots:
        lab.socket_folder(slot).mkdir(mode=0o700, exist_ok=True)
    tls.make(lab, made)
    wanted = {lab.container(slot): containers.node(lab, made, slot, node_image) for slot in made.slots}
    wanted[lab.registry] = containers.registry(lab, made, registry_image)
    for name, container in wanted.items():
        api.create_volume(name, labels=containers.labels(lab))
        api.create_container_from_config(container, name)  # type: ignore[no-untyped-call]
    shell.at_once(api.start, wanted)
    return made


def _make_network(api: docker.APIClient, lab: Lab) -> str:
    """A free network; another one may take it between look and making."""
    for attempt in range(1, _ATTEMPTS + 1):
        taken = [*instances.docker_networks(api.networks()), *instances.host_networks()]
        candidates = list(_POOL.subnets(new_prefix=_PREFIX_LENGTH))
        random.shuffle(candidates)
        subnet = next((one for one in candidates if not any(one.overlaps(other) for other in taken)), None)
        if subnet is None:
            raise HostError(
                f"Every /{_PREFIX_LENGTH} network of {_POOL} is in use; remove some (docker network prune)."
            )
        try:
            api.create_network(**containers.network(lab, str(subnet)))
        except docker.errors.APIError:
            if attempt == _ATTEMPTS:
                raise
            # Docker finishes what a command that was killed had asked for, also after we looked.
            for left in api.networks(filters={"label": f"{LABEL}={lab.name}"}):
                api.remove_network(left["Id"])
        else:
            return str(subnet)
    raise AssertionError("unreachable")


def _check_registry(lab: Lab, made: Record) -> None:
    """Raises HostError where what answers at the registry's port is another program."""
    try:
        answer = requests.get(f"http://{made.registry}/v2/", timeout=10)
        whose = answer.headers.get(containers.REGISTRY_HEADER)
    except requests.exceptions.RequestException as error:
        raise HostError(f"The lab's registry does not answer at {made.registry}: {error}.") from error
    if whose != lab.name:
        raise HostError(f"Port {made.registry_port} was taken by another program meanwhile; run the command again.")


@contextlib.contextmanager
def _removed_on_failure(api: docker.APIClient, lab: Lab) -> Iterator[None]:
    try:
        yield
    except (Exception, KeyboardInterrupt):
        console.say(f"  [dim]removing what was made of lab {lab.name}[/dim]")
        remains.remove(api, lab, remains.find(api, lab))
        raise


def _say(what: str, message: str) -> None:
    console.say(f"  [dim]{what}: {message}[/dim]")
