"""An instance on a lab: its mark, and what its configuration has that the environment's own does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops import console
from ops.errors import UsageError
from ops.lab import record, reference
from ops.lab.reference import Lab
from ops.stack.reference import Stack


def claim(stack: Stack) -> None:
    """Marks the instance as one that is on the lab of its name.

    Raises UsageError where there is no such lab, or an instance of that name which is not on it.
    """
    record.require(_lab(stack))
    if stack.lab_marker.exists():
        return
    if any(stack.folder.glob("Pulumi.*.yaml")):
        raise UsageError(
            f"There is an instance {stack.instance!r} that is not on a lab; "
            f"make a lab of another name (`./pidea lab up --name NAME`, then --instance NAME), or destroy it."
        )
    stack.folder.mkdir(parents=True, exist_ok=True)
    stack.lab_marker.touch()


def settings(stack: Stack, config: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the environment's own `config`: where images are built and kept, and what the kernel lacks.

    Ports and networks stay: they are the nodes' own.
    """
    found = record.require(_lab(stack))
    network = dict(config.get("pidea:network", {}))
    if network.get("encrypted") and not found.can_encrypt:
        console.say("  this machine's kernel cannot encrypt overlay networks (no ESP): the lab's are not encrypted")
        network["encrypted"] = False
    different: dict[str, Any] = {
        "pidea:registry": found.registry,
        "pidea:builder": found.engine,
        "pidea:nodes": found.nodes,
        # What the provider deploys to; DOCKER_HOST names the builder, see `target.pulumi_engine_of`.
        "docker:host": f"unix://{_lab(stack).manager_socket}",
    }
    return different | ({"pidea:network": network} if network else {})


def policy_parameters(stack: Stack) -> dict[str, dict[str, Any]]:
    """Rules' parameters that are not the environment's: what never leaves this machine needs no cipher."""
    return {} if record.require(_lab(stack)).can_encrypt else {"networks-encrypted": {"required": False}}


def _lab(stack: Stack) -> Lab:
    return reference.resolve(str(stack.lab), local=stack.local)


def folders(lab: str, local: Path) -> Iterator[Path]:
    """The folders of the instances that are on lab `lab`."""
    folder = local / "instances" / lab
    if Stack(environment="", instance=lab, lab=lab, local=local).lab_marker.exists():
        yield folder
