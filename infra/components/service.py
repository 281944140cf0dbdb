"""A ServiceSpec as the arguments of docker.Service."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from infra import names
from infra.components.labels import labels
from infra.spec import ServiceSpec

# Docker keeps logs on the node's disk: at most 30 MB for each task.
_LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}

# The provider looks after its delay, then 5 s later, then 10 s later. No service is healthy before its first health
# check, and most are right after it: a look before it costs 5 s more, a look just after it finds them done.
_FIRST_LOOK_SECONDS = 4


def service_args(
    spec: ServiceSpec,
    *,
    instance: str,
    image: pulumi.Input[str],
    replaces_entrypoint: bool,
    networks: Mapping[str, pulumi.Input[str]],
    secrets: Mapping[str, docker.Secret],
    configs: Mapping[str, docker.ServiceConfig],
    volumes: Mapping[str, docker.Volume],
) -> docker.ServiceArgs:
    """The translation, field by field. `networks` maps to ids, the other mappings to resources."""
    return docker.ServiceArgs(
        name=names.physical(instance, spec.name),
        labels=[docker.ServiceLabelArgs(label=k, value=v) for k, v in labels(instance, spec.name).items()],
        mode=_mode(spec),
        endpoint_spec=_endpoint(spec),
        update_config=_update(spec),
        rollback_config=docker.ServiceRollbackConfigArgs(
            order=spec.update.order, parallelism=spec.update.parallelism, failure_action="pause", monitor="5s"
        ),
        converge_config=docker.ServiceConvergeConfigArgs(
            delay=f"{spec.healthcheck.interval_seconds + _FIRST_LOOK_SECONDS}s",
            timeout=f"{spec.converge_timeout_seconds}s",
        ),
        task_spec=docker.ServiceTaskSpecArgs(
            container_spec=_container(spec, instance, image, replaces_entrypoint, secrets, configs, volumes),
            networks_advanceds=[docker.ServiceTaskSpecNetworksAdvancedArgs(id=networks[n]) for n in spec.networks],
            resources=_resources(spec),
            restart_policy=docker.ServiceTaskSpecRestartPolicyArgs(condition="any", delay="2s", window="0s"),
            placement=docker.ServiceTaskSpecPlacementArgs(
                constraints=list(spec.placement.constraints) or None,
                max_replicas=spec.placement.max_replicas_per_node or None,
            ),
            log_driver=docker.ServiceTaskSpecLogDriverArgs(name="json-file", options=_LOG_OPTIONS),
        ),
    )


def _mode(spec: ServiceSpec) -> docker.ServiceModeArgs:
    return docker.ServiceModeArgs(replicated=docker.ServiceModeReplicatedArgs(replicas=spec.replicas))


def _endpoint(spec: ServiceSpec) -> docker.ServiceEndpointSpecArgs:
    ports = [
        docker.ServiceEndpointSpecPortArgs(
            target_port=port.target, published_port=port.published, publish_mode="host", protocol="tcp"
        )
        for port in spec.ports
    ]
    return docker.ServiceEndpointSpecArgs(mode="dnsrr", ports=ports or None)


def _update(spec: ServiceSpec) -> docker.ServiceUpdateConfigArgs:
    return docker.ServiceUpdateConfigArgs(
        order=spec.update.order,
        parallelism=spec.update.parallelism,
        delay=_duration(spec.update.delay_seconds),
        failure_action="rollback",
        monitor=_duration(spec.update.monitor_seconds),
        max_failure_ratio="0.0",
    )


def _resources(spec: ServiceSpec) -> docker.ServiceTaskSpecResourcesArgs:
    return docker.ServiceTaskSpecResourcesArgs(
        limits=docker.ServiceTaskSpecResourcesLimitsArgs(
            nano_cpus=int(spec.resources.cpu_limit * 1e9), memory_bytes=spec.resources.memory_limit_bytes
        ),
        reservation=docker.ServiceTaskSpecResourcesReservationArgs(
            memory_bytes=spec.resources.memory_reservation_bytes,
            nano_cpus=int(spec.resources.cpu_reservation * 1e9) or None,
        ),
    )


def _container(
    spec: ServiceSpec,
    instance: str,
    image: pulumi.Input[str],
    replaces_entrypoint: bool,
    secrets: Mapping[str, docker.Secret],
    configs: Mapping[str, docker.ServiceConfig],
    volumes: Mapping[str, docker.Volume],
) -> docker.ServiceTaskSpecContainerSpecArgs:
    command = list(spec.command) or None
    check = spec.healthcheck
    return docker.ServiceTaskSpecContainerSpecArgs(
        image=image,
        # Our images' entrypoint is an init; another's would swallow the command.
        commands=command if replaces_entrypoint else None,
        args=None if replaces_entrypoint else command,
        user=spec.user,
        hostname=names.physical(instance, spec.name) if spec.has_hostname else None,
        read_only=True,
        cap_drops=["ALL"],
        env=dict(spec.env) or None,
        labels=[
            docker.ServiceTaskSpecContainerSpecLabelArgs(label=k, value=v)
            for k, v in labels(instance, spec.name).items()
        ],
        healthcheck=docker.ServiceTaskSpecContainerSpecHealthcheckArgs(
            tests=list(check.command),
            interval=_duration(check.interval_seconds),
            timeout=_duration(check.timeout_seconds),
            retries=check.retries,
            start_period=_duration(check.start_period_seconds),
        ),
        stop_signal=spec.stop_signal,
        stop_grace_period=_duration(spec.stop_grace_period_seconds),
        mounts=_mounts(spec, volumes) or None,
        dns_config=_dns(spec),
        secrets=[
            docker.ServiceTaskSpecContainerSpecSecretArgs(
                secret_id=secrets[mount.secret].id,
                secret_name=secrets[mount.secret].name,
                file_name=mount.target,
                file_uid=str(mount.uid),
                file_gid=str(mount.uid),
                file_mode=mount.mode,
            )
            for mount in spec.secrets
        ]
        or None,
        configs=[
            docker.ServiceTaskSpecContainerSpecConfigArgs(
                config_id=configs[mount.config].id,
                config_name=configs[mount.config].name,
                file_name=mount.target,
                file_mode=mount.mode,
            )
            for mount in spec.configs
        ]
        or None,
    )


def _dns(spec: ServiceSpec) -> docker.ServiceTaskSpecContainerSpecDnsConfigArgs | None:
    if not spec.dns_options:
        return None
    # The provider wants a server for what Docker's own resolver does not know. Nothing listens there: no query leaves
    # the container, and an unknown name fails at once.
    return docker.ServiceTaskSpecContainerSpecDnsConfigArgs(nameservers=["127.0.0.1"], options=list(spec.dns_options))


def _mounts(
    spec: ServiceSpec, volumes: Mapping[str, docker.Volume]
) -> list[docker.ServiceTaskSpecContainerSpecMountArgs]:
    mount = docker.ServiceTaskSpecContainerSpecMountArgs
    return [
        *(mount(type="volume", source=volumes[v.volume].name, target=v.target) for v in spec.volumes),
        *(mount(type="bind", source=h.source, target=h.target, read_only=True) for h in spec.host_mounts),
        *(
            mount(
                type="tmpfs",
                target=t.target,
                tmpfs_options=docker.ServiceTaskSpecContainerSpecMountTmpfsOptionsArgs(
                    size_bytes=t.size_bytes, mode=t.mode
                ),
            )
            for t in spec.tmpfs
        ),
    ]


def _duration(seconds: int) -> str:
    """As the provider writes it when it reads back; anything else would show as a difference at every refresh."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes and rest else f"{minutes}m" if minutes else f"{rest}s"
