"""Swarm secrets."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pulumi
import pulumi_docker as docker

from infra import names
from infra.components.labels import labels
from infra.credentials import Credentials
from infra.spec import SecretRef


class Secrets(pulumi.ComponentResource):
    """`secrets[name]` is mounted by services; its physical name carries the version, so that a new one rolls them."""

    def __init__(self, name: str, specs: Sequence[SecretRef], *, instance: str, credentials: Credentials) -> None:
        super().__init__("pidea:platform:Secrets", name)
        self.secrets: dict[str, docker.Secret] = {}
        for spec in specs:
            # A secret cannot be removed while a service uses it. The version in both names makes a change a new
            # secret, then an updated service, then a removal.
            suffix = credentials.version(spec)
            self.secrets[spec.name] = docker.Secret(
                f"secret-{spec.name}-{suffix}",
                name=f"{names.physical(instance, spec.name)}-{suffix}",
                data=credentials.content(spec).apply(_base64),
                labels=[docker.SecretLabelArgs(label=k, value=v) for k, v in labels(instance, spec.name).items()],
                opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["data"]),
            )
        self.register_outputs({})


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
