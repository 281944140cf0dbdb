"""The plan's vocabulary: frozen data that says what shall run. Imports nothing of ours.

Names in here are logical (`redis`); `names.physical` makes Docker's of them. Every size is in bytes, every time in
seconds.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """An overlay network. `internal` has no way out of the swarm; published ports need one that is not."""

    name: str
    subnet: str
    gateway: str
    internal: bool = True
    encrypted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeSpec:
    """A named volume that outlives services and, unless asked otherwise, the stack.

    `backup` says what of it is in the repository, by which tool; `no_backup` why nothing has to be. One of them.
    """

    name: str
    backup: str = ""
    no_backup: str = ""


class SecretForm(enum.Enum):
    """How a secret's content is made of its `sources`, in `credentials.py`."""

    RANDOM = "random"
    REDIS_ACL = "redis-acl"
    REDIS_EXPORTER_PASSWORDS = "redis-exporter-passwords"
    REDIS_CLUSTER_ACL = "redis-cluster-acl"
    REDIS_CLUSTER_EXPORTER_PASSWORDS = "redis-cluster-exporter-passwords"
    SENTINEL_ACL = "sentinel-acl"
    HAPROXY_USERLIST = "haproxy-userlist"
    API_CLIENTS = "api-clients"
    # Not made: what the secret setting says.
    EDGE_CERTIFICATE = "edge-certificate"
    RECEIVER = "receiver"
    SERVER_LOGIN = "server-login"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecretRef:
    """A Swarm secret: a name and a recipe, never the content."""

    name: str
    form: SecretForm = SecretForm.RANDOM
    sources: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecretMount:
    """A secret as a file, readable by `uid` alone."""

    secret: str
    target: str
    uid: int
    mode: int = 0o400


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigSpec:
    """A configuration file as a Swarm config; `digest` is a part of its physical name, so that a change rolls."""

    name: str
    content: str
    digest: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigMount:
    """A config as a file, readable by everybody in the container: it holds no secret."""

    config: str
    target: str
    mode: int = 0o444


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeMount:
    """A named volume in a container."""

    volume: str
    target: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostMount:
    """A folder of the machine in a container, always read-only."""

    source: str
    target: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TmpfsMount:
    """Memory as a folder: the one place besides volumes where a read-only container may write."""

    target: str
    size_bytes: int
    # No sticky bit: the provider does not read it back, and every refresh would show a difference.
    mode: int = 0o777


@dataclasses.dataclass(frozen=True, kw_only=True)
class HealthcheckSpec:
    """A command that exits 0 while the container does its work."""

    command: tuple[str, ...]
    interval_seconds: int = 5
    timeout_seconds: int = 3
    retries: int = 3
    start_period_seconds: int = 15

    @property
    def worst_detection_seconds(self) -> int:
        """The longest that a broken new container can look healthy to Swarm: its start period, then every retry."""
        return self.start_period_seconds + self.interval_seconds * self.retries


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdatePolicy:
    """How a new version replaces the old one. A failure within `monitor_seconds` rolls back."""

    order: Literal["start-first", "stop-first"]
    monitor_seconds: int
    parallelism: int = 1
    delay_seconds: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceSpec:
    """What a container may use (limit) and what the scheduler keeps for it (reservation)."""

    cpu_limit: float
    memory_limit_bytes: int
    memory_reservation_bytes: int
    cpu_reservation: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class PortSpec:
    """A port of the machine, in host mode: the routing mesh needs IPVS, which many kernels lack."""

    published: int
    target: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlacementSpec:
    """Where tasks may run."""

    constraints: tuple[str, ...] = ()
    max_replicas_per_node: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """An image: built from the repository on top of `base`, or `upstream` taken as it is.

    `digest` covers everything that goes into the build but the image it starts from; empty for an upstream image.
    """

    name: str
    digest: str
    base: str | None = None
    build_args: Mapping[str, str] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    upstream: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """A Swarm service.

    What runs on every node is replicated too, with at most one task for each: the provider does not wait for services
    in Swarm's global mode to become healthy.
    """

    name: str
    image: str
    user: str
    networks: tuple[str, ...]
    resources: ResourceSpec
    healthcheck: HealthcheckSpec
    update: UpdatePolicy
    replicas: int = 1
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    secrets: tuple[SecretMount, ...] = ()
    configs: tuple[ConfigMount, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    host_mounts: tuple[HostMount, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    placement: PlacementSpec = PlacementSpec()
    # Of resolv.conf. For services that look up names without a dot alone: with options of its own the resolver is slow
    # with what it does not know, `tasks.<service>` among it.
    dns_options: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    # The service's name as the container's own: it can be resolved inside before Swarm's DNS has it, which is when the
    # container is healthy.
    has_hostname: bool = False
    stop_grace_period_seconds: int = 10
    converge_timeout_seconds: int = 180


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubsystemSpec:
    """Services that belong together, and the volumes, secrets and configs that are theirs."""

    name: str
    services: tuple[ServiceSpec, ...]
    volumes: tuple[VolumeSpec, ...] = ()
    secrets: tuple[SecretRef, ...] = ()
    configs: tuple[ConfigSpec, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeploymentPlan:
    """Everything that a stack consists of, before anything is made.

    `held_by_budget`: with a spent error budget it is only deployed when somebody insists.
    """

    environment: str
    instance: str
    nodes: int
    secrets_version: int
    registry: str | None
    networks: tuple[NetworkSpec, ...]
    images: tuple[ImageSpec, ...]
    subsystems: tuple[SubsystemSpec, ...]
    held_by_budget: bool = False

    @property
    def services(self) -> tuple[ServiceSpec, ...]:
        """The services of all subsystems."""
        return tuple(service for subsystem in self.subsystems for service in subsystem.services)

    @property
    def volumes(self) -> tuple[VolumeSpec, ...]:
        """The volumes of all subsystems."""
        return tuple(volume for subsystem in self.subsystems for volume in subsystem.volumes)

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """The secrets of all subsystems."""
        return tuple(secret for subsystem in self.subsystems for secret in subsystem.secrets)

    @property
    def configs(self) -> tuple[ConfigSpec, ...]:
        """The configs of all subsystems."""
        return tuple(config for subsystem in self.subsystems for config in subsystem.configs)

    @property
    def has_tls(self) -> bool:
        """Whether the edge speaks TLS on its published ports."""
        return any(secret.form is SecretForm.EDGE_CERTIFICATE for secret in self.secrets)

    @property
    def published_ports(self) -> tuple[int, ...]:
        """The machine's TCP ports that this stack listens on."""
        return tuple(port.published for service in self.services for port in service.ports)

    @property
    def memory_reservation_bytes(self) -> int:
        """What the scheduler keeps for one node's worth of this stack."""
        return sum(s.resources.memory_reservation_bytes * (s.replicas) for s in self.services)
