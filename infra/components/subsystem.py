"""One subsystem: its volumes, configs and services."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from infra import names
from infra.components.images import Images
from infra.components.labels import labels
from infra.components.networks import Networks
from infra.components.secrets import Secrets
from infra.components.service import service_args
from infra.spec import ConfigSpec, ServiceSpec, SubsystemSpec, VolumeSpec


class Subsystem(pulumi.ComponentResource):
    """`services` and `volumes` map logical names to resources."""

    def __init__(
        self,
        spec: SubsystemSpec,
        *,
        instance: str,
        upstream_images: frozenset[str],
        images: Images,
        networks: Networks,
        secrets: Secrets,
    ) -> None:
        super().__init__(f"pidea:platform:{spec.name.title()}", spec.name)
        self._instance = instance
        self.volumes = {volume.name: self._volume(volume) for volume in spec.volumes}
        self._configs = {config.name: self._config(config) for config in spec.configs}
        self.services = {
            service.name: self._service(service, upstream_images, images, networks.ids, secrets.secrets)
            for service in spec.services
        }
        self.register_outputs({})

    def _volume(self, spec: VolumeSpec) -> docker.Volume:
        # Each node has a volume of that name, made by the task there; only that of the manager which was used first has
        # labels. By another manager a label would be missing, and a new label is a new volume: an empty one.
        return docker.Volume(
            f"volume-{spec.name}",
            name=names.physical(self._instance, spec.name),
            labels=[docker.VolumeLabelArgs(label=k, value=v) for k, v in labels(self._instance, spec.name).items()],
            opts=pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=["labels"]),
        )

    def _config(self, spec: ConfigSpec) -> docker.ServiceConfig:
        # A config cannot be removed while a service uses it. The digest in Pulumi's name as well makes a change a new
        # resource, then an updated service, then a removal: also on the way back after an update that failed between.
        return docker.ServiceConfig(
            f"config-{spec.name}-{spec.digest}",
            name=f"{names.physical(self._instance, spec.name)}-{spec.digest}",
            data=base64.b64encode(spec.content.encode()).decode(),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _service(
        self,
        spec: ServiceSpec,
        upstream_images: frozenset[str],
        images: Images,
        networks: Mapping[str, pulumi.Output[str]],
        secrets: Mapping[str, docker.Secret],
    ) -> docker.Service:
        args = service_args(
            spec,
            instance=self._instance,
            image=images.references[spec.image],
            replaces_entrypoint=spec.image in upstream_images,
            networks=networks,
            secrets=secrets,
            configs=self._configs,
            volumes=self.volumes,
        )
        options = pulumi.ResourceOptions(
            parent=self,
            # A name exists once: the old service must be gone before a replacement is made.
            delete_before_replace=True,
            # Docker fills them in for an image from a registry; taken for a change, the second `up` would restart all.
            ignore_changes=["taskSpec.placement.platforms"],
        )
        return docker.Service(f"service-{spec.name}", args, opts=options)
