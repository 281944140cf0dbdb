"""The composition root: settings → plan → components → outputs."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from infra import names, outputs
from infra.components.images import Images
from infra.components.networks import Networks
from infra.components.secrets import Secrets
from infra.components.subsystem import Subsystem
from infra.credentials import Credentials, edge_certificate, login_digests
from infra.plan import build_plan
from infra.settings import StackSettings


def deploy() -> None:
    """Declares the stack. Raises InfraError before the first resource where its settings or its plan are wrong."""
    settings = StackSettings.from_config(_config())
    plan = build_plan(settings)
    certificate = edge_certificate() if settings.edge.tls else None
    logins = login_digests((*settings.alertmanager.secrets, *settings.backup.secrets), settings.instance)

    images = Images(
        "images", plan.images, base_image=settings.base_image, registry=plan.registry, builder=settings.builder
    )
    networks = Networks("networks", plan.networks, instance=plan.instance)
    credentials = Credentials(
        "credentials",
        plan.secrets,
        instance=plan.instance,
        version=plan.secrets_version,
        edge_certificate=certificate,
        login_digests=logins,
    )
    secrets = Secrets("secrets", plan.secrets, instance=plan.instance, credentials=credentials)
    subsystems = [
        Subsystem(
            spec,
            instance=plan.instance,
            upstream_images=frozenset(settings.images),
            images=images,
            networks=networks,
            secrets=secrets,
        )
        for spec in plan.subsystems
    ]

    pulumi.export(outputs.ENVIRONMENT, plan.environment)
    pulumi.export(outputs.INSTANCE, plan.instance)
    pulumi.export(outputs.EDGE_PORT, settings.edge.port)
    pulumi.export(outputs.OPERATOR_PORT, settings.edge.operator_port)
    pulumi.export(outputs.EDGE_TLS, settings.edge.tls)
    pulumi.export(outputs.EDGE_CERTIFICATE_CHAIN, certificate.chain if certificate else "")
    pulumi.export(outputs.OPERATOR_USERNAME, names.OPERATOR_USERNAME)
    pulumi.export(outputs.OPERATOR_PASSWORD, credentials.password(names.OPERATOR_PASSWORD))
    pulumi.export(outputs.API_TOKEN, credentials.password(names.API_TOKEN))
    pulumi.export(outputs.NETWORKS, networks.names)
    pulumi.export(outputs.VOLUMES, {name: volume.name for part in subsystems for name, volume in part.volumes.items()})
    replicas = {service.name: service.replicas for service in plan.services}
    image_of = {service.name: images.references[service.image] for service in plan.services}
    pulumi.export(
        outputs.SERVICES,
        {
            name: {"name": service.name, "image": image_of[name], "replicas": replicas[name]}
            for part in subsystems
            for name, service in part.services.items()
        },
    )


def _config() -> dict[str, Any]:
    """The stack's configuration as the engine hands it over: all of it, so that an unknown key is seen."""
    return {**get_config_env(), **CONFIG.get()}
