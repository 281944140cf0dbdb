"""An instance: the same environment beside it, with names, ports, networks and state of its own."""

from __future__ import annotations

import ipaddress
import random
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ops.errors import HostError, UsageError
from ops.stack import on_lab, preflight, rehearsal, settings, swarm
from ops.stack.reference import Stack

_POOL = ipaddress.IPv4Network("10.0.0.0/8")
_PREFIX_LENGTH = 20
# Below the range from which Linux takes the ports of outgoing connections.
_PORTS = range(20000, 32000)
_ROUTES = Path("/proc/net/route")


def ensure(stack: Stack) -> None:
    """Writes the instance's configuration where it has none yet; once written it is kept. No-op for an environment.

    Raises UsageError where an instance that is not on a lab has the name of the lab.
    """
    if stack.lab is not None:
        on_lab.claim(stack)
    if stack.instance is None or stack.config_file.exists():
        return
    environment = Stack(environment=stack.environment, root=stack.root, local=stack.local)
    config = rehearsal.of(settings.read_config(environment))
    config["pidea:instance"] = f"pidea-{stack.instance}"
    config.update(_beside(stack, config) if stack.lab is None else on_lab.settings(stack, config))
    stack.folder.mkdir(parents=True, exist_ok=True)
    new = stack.config_file.with_suffix(".new")
    new.write_text(f"# Made from {stack.environment_file.name} for instance {stack.instance}; yours to change.\n")
    with new.open("a") as file:
        yaml.safe_dump({"config": config}, file, sort_keys=False)
    new.rename(stack.config_file)


def _beside(stack: Stack, config: Mapping[str, Any]) -> dict[str, Any]:
    """What must differ from the environment's own `config` for both to be on one engine."""
    with swarm.client() as api:
        taken = [*docker_networks(api.networks()), *host_networks(), *_sibling_networks(stack)]
    first, second = free_ports(2, avoid=_sibling_ports(stack))
    return {
        "pidea:edge": {**config.get("pidea:edge", {}), "port": first, "operatorPort": second},
        "pidea:network": {**config.get("pidea:network", {}), "cidr": str(free_network(taken))},
    }


def require(stack: Stack) -> None:
    """Raises UsageError for an instance that was never made."""
    if not stack.config_file.exists():
        raise UsageError(
            f"There is no instance {stack.instance!r} of {stack.environment}; "
            f"make it with `./pidea up {stack.arguments}`."
        )


def remove(stack: Stack) -> None:
    """Forgets an instance's configuration, and with the last environment its whole folder."""
    if stack.instance is None:
        return
    stack.config_file.unlink(missing_ok=True)
    if not any(stack.folder.glob("Pulumi.*.yaml")):
        shutil.rmtree(stack.folder)


def free_ports(count: int, avoid: Iterable[int] = ()) -> list[int]:
    """TCP ports on which nothing listens and that no other instance of this checkout has been given."""
    found: list[int] = []
    candidates = sorted(set(_PORTS) - set(avoid))
    random.shuffle(candidates)
    for port in candidates:
        try:
            preflight.check_port(port)
        except HostError:
            continue
        found.append(port)
        if len(found) == count:
            return found
    raise HostError(f"No {count} free ports from {_PORTS.start} to {_PORTS.stop - 1}; end what listens there.")


def free_network(taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """A /20 of 10.0.0.0/8 that overlaps none of `taken`."""
    used = list(taken)
    # Chance keeps two checkouts on one machine apart while neither has made its networks yet.
    candidates = list(_POOL.subnets(new_prefix=_PREFIX_LENGTH))
    random.shuffle(candidates)
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise HostError(
        "Every /20 network of 10.0.0.0/8 is in use; remove networks that nothing needs (docker network prune)."
    )


def host_networks(routes: Path = _ROUTES) -> Iterator[ipaddress.IPv4Network]:
    """The networks to which this machine has a route of its own; the default route is none."""
    try:
        lines = routes.read_text().splitlines()[1:]
    except OSError:
        return  # not Linux: Docker itself runs in a machine of its own there
    for line in lines:
        fields = line.split()
        destination, mask = (socket.ntohl(int(fields[index], 16)) for index in (1, 7))
        if mask:
            yield ipaddress.IPv4Network((destination, mask.bit_count()))


def docker_networks(networks: Iterable[dict[str, Any]]) -> Iterator[ipaddress.IPv4Network]:
    """The subnets of networks as Docker lists them; IPv4 only."""
    for network in networks:
        for part in (network.get("IPAM") or {}).get("Config") or []:
            subnet = ipaddress.ip_network(part.get("Subnet") or "::/128", strict=False)
            if isinstance(subnet, ipaddress.IPv4Network):
                yield subnet


def _sibling_configs(stack: Stack) -> Iterator[dict[str, Any]]:
    for path in (stack.local / "instances").glob("*/Pulumi.*.yaml"):
        yield (yaml.safe_load(path.read_text()) or {}).get("config") or {}


def _sibling_networks(stack: Stack) -> Iterator[ipaddress.IPv4Network]:
    for config in _sibling_configs(stack):
        if cidr := (config.get("pidea:network") or {}).get("cidr"):
            yield ipaddress.IPv4Network(cidr)


def _sibling_ports(stack: Stack) -> set[int]:
    edges = [config.get("pidea:edge") or {} for config in _sibling_configs(stack)]
    return {int(edge[key]) for edge in edges for key in ("port", "operatorPort") if key in edge}
