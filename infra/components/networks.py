"""Overlay networks."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_docker as docker

from infra import names
from infra.components.labels import labels
from infra.render import digest
from infra.spec import NetworkSpec


class Networks(pulumi.ComponentResource):
    """`names[name]` is a network's name in Docker; `ids[name]` is what a service attaches to.

    Attached by name, every refresh would show a difference.
    """

    def __init__(self, name: str, specs: Sequence[NetworkSpec], *, instance: str) -> None:
        super().__init__("pidea:platform:Networks", name)
        self.ids: dict[str, pulumi.Output[str]] = {}
        self.names: dict[str, pulumi.Output[str]] = {}
        for spec in specs:
            # A network cannot be removed while a service is on it. The digest in both names makes a change a new
            # network, then services that move over, then a removal.
            version = digest(repr(spec))
            network = docker.Network(
                f"network-{spec.name}-{version}",
                name=f"{names.physical(instance, spec.name)}-{version}",
                driver="overlay",
                internal=spec.internal,
                options={"encrypted": ""} if spec.encrypted else None,
                ipam_configs=[docker.NetworkIpamConfigArgs(subnet=spec.subnet, gateway=spec.gateway)],
                labels=[docker.NetworkLabelArgs(label=k, value=v) for k, v in labels(instance, spec.name).items()],
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.ids[spec.name] = network.id
            self.names[spec.name] = network.name
        self.register_outputs({})
