"""A stack's settings: the `pidea:` keys of `Pulumi.<stack>.yaml`, validated before the first resource."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml

from infra import names, servers
from infra.backups import BackupSettings
from infra.errors import SettingsError
from infra.objectives import ObjectiveSettings
from infra.routing import AlertmanagerSettings
from infra.section import Section as _Section

NAMESPACE = "pidea"
# Encrypted in the file; `credentials` reads them, and nobody else.
SECRET_SETTINGS = frozenset({names.EDGE_CERTIFICATE_SETTING, names.BACKUP_REPOSITORY_LOGIN, names.BACKUP_OFFSITE_LOGIN})

Port = Annotated[int, pydantic.Field(ge=1024, le=65535)]
Ratio = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]
Count = Annotated[int, pydantic.Field(ge=1, le=100)]
# Docker limits a secret's name to 64 characters; our longest suffix, with a version of three digits, takes 40.
InstanceName = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=24)]
# Where a Docker engine answers, as DOCKER_HOST says it.
EngineAddress = Annotated[str, pydantic.Field(pattern=r"^(unix:///|ssh://|tcp://)\S+$")]
# The newest of a major version that Debian has when the image is built, or exactly one.
PostgresVersion = Annotated[
    str, pydantic.BeforeValidator(servers.as_text), pydantic.Field(pattern=r"^(15|17)(\.[0-9]{1,2})?$")
]
RedisVersion = Annotated[
    str, pydantic.BeforeValidator(servers.as_text), pydantic.Field(pattern=r"^(7|8)(\.[0-9]{1,2}\.[0-9]{1,2})?$")
]
ImageReference = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9][\w./:-]*(@sha256:[0-9a-f]{64})?$")]

OVERRIDABLE_IMAGES = frozenset(
    {
        names.REDIS,
        names.POSTGRES,
        names.HAPROXY_IMAGE,
        names.PROMETHEUS,
        names.ALERTMANAGER,
        names.JAEGER,
        names.REDIS_EXPORTER,
        names.POSTGRES_EXPORTER,
        names.NODE_EXPORTER,
        names.BLACKBOX_EXPORTER,
        names.APP,
        # Not built here: naming an image of it brings it up.
        names.GRAFANA,
    }
)


class NetworkSettings(_Section):
    """`cidr` is cut into one /24 for each overlay network."""

    cidr: ipaddress.IPv4Network = ipaddress.IPv4Network("10.88.0.0/16")
    encrypted: bool = False

    @pydantic.field_validator("cidr")
    @classmethod
    def _private_and_large_enough(cls, cidr: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
        if not cidr.is_private or cidr.prefixlen > 21:
            raise ValueError("must be a private network of at least /21")
        return cidr


class EdgeSettings(_Section):
    """Ports that the edge publishes on the machine: the application's, and the operators' (behind a password).

    With `tls` both speak TLS, with the certificate and key in the secret setting `pidea:edgeCertificate` (PEM).
    """

    port: Port = 3000
    operator_port: Port = 3001
    tls: bool = False

    @pydantic.model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port == self.operator_port:
            raise ValueError(f"port and operatorPort must differ, both are {self.port}")
        return self

    @property
    def operator_url(self) -> str:
        """The operators' pages as a browser on the machine asks for them."""
        return f"{'https' if self.tls else 'http'}://localhost:{self.operator_port}"


class VariantSettings(_Section):
    """One variant of an experiment: its share of the clients, and what is switched off for them."""

    name: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    weight: Annotated[int, pydantic.Field(ge=0, le=1_000_000)]
    off: tuple[Literal["l1", "l2", "l3", "dedup", "breaker"], ...] = ()


class ExperimentSettings(_Section):
    """An A/B experiment on live traffic."""

    name: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    variants: Annotated[tuple[VariantSettings, ...], pydantic.Field(min_length=2, max_length=10)]

    @pydantic.model_validator(mode="after")
    def _can_be_assigned(self) -> Self:
        if len({variant.name for variant in self.variants}) != len(self.variants):
            raise ValueError("every variant must have a name of its own")
        if not any(variant.weight for variant in self.variants):
            raise ValueError("at least one variant must have a weight above 0")
        return self


class AppSettings(_Section):
    """The backend.

    `rate_limit_per_second` is each client's, in each replica; 0 means none. `cors_allowed_origins` are the web pages
    that may use the API from a browser. `workers` are processes in each replica. For `canary_seconds` after each new
    replica an update waits before it replaces the next one.
    """

    replicas: Count = 2
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    drain_seconds: Annotated[int, pydantic.Field(ge=1, le=60)] = 5
    canary_seconds: Annotated[int, pydantic.Field(ge=0, le=600)] = 0
    workers: Annotated[int, pydantic.Field(ge=1, le=32)] = 1
    max_requests_in_flight: Annotated[int, pydantic.Field(ge=1, le=10_000)] = 256
    rate_limit_per_second: Annotated[float, pydantic.Field(ge=0, le=100_000)] = 200.0
    cors_allowed_origins: tuple[Annotated[str, pydantic.Field(pattern=r"^https?://[^/*\s]+$")], ...] = ()
    telemetry_enabled: bool = True
    experiment: ExperimentSettings | None = None


class RedisSettings(_Section):
    """The cache. With `replicas` each server has a node of its own, and so has each sentinel.

    `version` is `7`, `8`, or an exact one; `./pidea upgrade` goes from one to another.
    """

    version: RedisVersion = servers.REDIS.default
    max_memory_mib: Annotated[int, pydantic.Field(ge=64, le=65536)] = 512
    replicas: Annotated[int, pydantic.Field(ge=0, le=4)] = 0

    @pydantic.field_validator("replicas")
    @classmethod
    def _can_lose_one(cls, replicas: int) -> int:
        if replicas == 1:
            raise ValueError("must be 0 or at least 2: a primary takes no writes once its only replica is gone")
        return replicas

    @pydantic.model_validator(mode="after")
    def _a_cluster_keeps_its_major_version(self) -> Self:
        _refuse_other_major(servers.REDIS, self.version, self.replicas, "replicas")
        return self


class PostgresSettings(_Section):
    """The system of record. With `standbys` Patroni runs each server on a node of its own, and etcd beside it.

    `version` is `15`, `17`, or an exact one as `15.20`; `./pidea upgrade` goes from one to another.
    """

    version: PostgresVersion = servers.POSTGRES.default
    standbys: Annotated[int, pydantic.Field(ge=0, le=4)] = 0

    shared_buffers_mib: Annotated[int, pydantic.Field(ge=32, le=65536)] = 128
    max_connections: Annotated[int, pydantic.Field(ge=20, le=1000)] = 100

    @pydantic.model_validator(mode="after")
    def _a_cluster_keeps_its_major_version(self) -> Self:
        _refuse_other_major(servers.POSTGRES, self.version, self.standbys, "standbys")
        return self


def _refuse_other_major(server: servers.Server, version: str, others: int, key: str) -> None:
    if others and server.major(version) != server.default:
        raise ValueError(
            f"version must be {server.default} where there are {key}, alone or with what follows the point: "
            f"a cluster's major version is not changed yet, is {version!r}"
        )


class PrometheusSettings(_Section):
    """Metrics. Replicas watch the same, each on a node of its own with a volume of its own.

    The last three are what watching may cost each of them before an alert says so: time series in memory, samples taken
    a second, and seconds that all rules together take once.
    """

    scrape_interval_seconds: Annotated[int, pydantic.Field(ge=1, le=120)] = 15
    retention_days: Annotated[int, pydantic.Field(ge=1, le=400)] = 15
    replicas: Annotated[int, pydantic.Field(ge=1, le=3)] = 1
    max_series: Annotated[int, pydantic.Field(ge=1000, le=10_000_000)] = 50_000
    max_samples_per_second: Annotated[int, pydantic.Field(ge=100, le=1_000_000)] = 5_000
    max_rule_seconds: Annotated[float, pydantic.Field(gt=0, le=60)] = 2.0


class ControllerSettings(_Section):
    """What looks after a Redis cluster with replicas: `dry-run` only says what it would repair."""

    mode: Literal["repair", "dry-run"] = "repair"
    interval_seconds: Annotated[int, pydantic.Field(ge=1, le=60)] = 3


class TracingSettings(_Section):
    """Traces: the share of requests that start one, how many each worker of the application starts a second at most (a
    caller's own decision holds beside it), and how long Jaeger keeps them."""

    sampling_ratio: Ratio = 1.0
    max_per_second: Annotated[int, pydantic.Field(ge=1, le=10_000)] = 50
    retention_hours: Annotated[int, pydantic.Field(ge=1, le=2160)] = 72


class StackSettings(_Section):
    """All of them.

    `nodes` is the number of machines in the swarm; the edge and the node exporter run on each. Where there are several,
    each carries its number, from 1, as the node label `dev.pidea.slot`: what keeps data stays where its volume is.
    `builder` is the Docker engine that builds the images and pushes them to `registry`; none means the manager itself.
    `secretsVersion` counted up makes every password anew and rolls what uses it.
    """

    environment: Literal["staging", "prod"]
    instance: InstanceName
    registry: Annotated[str, pydantic.Field(pattern=r"^[\w.-]+(:\d+)?$")] | None = None
    builder: EngineAddress | None = None
    base_image: ImageReference = "pidea/rootfs:bookworm"
    nodes: Count = 1
    secrets_version: Annotated[int, pydantic.Field(ge=1, le=999)] = 1
    images: Mapping[str, ImageReference] = pydantic.Field(default_factory=dict)
    network: NetworkSettings = NetworkSettings()
    edge: EdgeSettings = EdgeSettings()
    app: AppSettings = AppSettings()
    redis: RedisSettings = RedisSettings()
    postgres: PostgresSettings = PostgresSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    tracing: TracingSettings = TracingSettings()
    controller: ControllerSettings = ControllerSettings()
    slo: ObjectiveSettings = ObjectiveSettings()
    backup: BackupSettings = BackupSettings()

    @pydantic.field_validator("images")
    @classmethod
    def _known_images(cls, images: Mapping[str, str]) -> Mapping[str, str]:
        for name in images:
            if name not in OVERRIDABLE_IMAGES:
                raise ValueError(f"no image is called {name!r}; there are {', '.join(sorted(OVERRIDABLE_IMAGES))}")
        return images

    @pydantic.model_validator(mode="after")
    def _patroni_starts_from_our_postgres(self) -> Self:
        if self.postgres.standbys and names.POSTGRES in self.images:
            raise ValueError(
                "images.postgres and postgres.standbys exclude each other: Patroni's image is built on ours"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _versions_are_of_our_images(self) -> Self:
        asked = {
            names.POSTGRES: (servers.POSTGRES, self.postgres.version),
            names.REDIS: (servers.REDIS, self.redis.version),
        }
        for name, (server, version) in asked.items():
            if name in self.images and version != server.default:
                raise ValueError(f"images.{name} and {name}.version exclude each other: that image has its own version")
        return self

    @pydantic.model_validator(mode="after")
    def _members_fit_the_nodes(self) -> Self:
        if self.nodes > 1 and self.nodes % 2 == 0:
            raise ValueError(f"nodes must be odd, is {self.nodes}: half of an even number is no majority")
        members = {
            "redis.replicas": self.redis.replicas + 1,
            "postgres.standbys": self.postgres.standbys + 1,
            "prometheus.replicas": self.prometheus.replicas,
            "alertmanager.replicas": self.alertmanager.replicas,
        }
        for key, count in members.items():
            if count > self.nodes:
                raise ValueError(f"{key} asks for {count} members on nodes of their own, and nodes is {self.nodes}")
        return self

    @pydantic.model_validator(mode="after")
    def _objectives_are_remembered(self) -> Self:
        if self.slo.window_days > self.prometheus.retention_days:
            raise ValueError(
                f"slo.windowDays is {self.slo.window_days}, and prometheus.retentionDays only "
                f"{self.prometheus.retention_days}: what is forgotten cannot be counted"
            )
        return self

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> StackSettings:
        """Settings from a stack's configuration, `pidea:key` → value; keys of other namespaces are not ours,
        and secret ones are for `credentials`.

        Of secret ones it is only looked at whether they are there: a receiver's must have one, a server's too.
        Values may be what YAML gives or what the Pulumi engine gives (text, JSON for objects).
        Raises SettingsError with one line for each problem.
        """
        ours = {
            key.removeprefix(f"{NAMESPACE}:"): _plain(value)
            for key, value in config.items()
            if key.startswith(f"{NAMESPACE}:") and not is_secret_setting(key.removeprefix(f"{NAMESPACE}:"))
        }
        try:
            settings = cls.model_validate(ours)
        except pydantic.ValidationError as error:
            raise SettingsError([_problem(detail) for detail in error.errors()]) from None
        needed = {f"{NAMESPACE}:{name}" for name in settings.alertmanager.secrets}
        needless = [
            key for key in config if key.startswith(f"{NAMESPACE}:{names.RECEIVER_PREFIX}") and key not in needed
        ]
        if needless:
            raise SettingsError([f"{key}: no receiver of that name has a secret; take it out" for key in needless])
        for name in (names.BACKUP_REPOSITORY_LOGIN, names.BACKUP_OFFSITE_LOGIN):
            if f"{NAMESPACE}:{name}" in config and name not in settings.backup.secrets:
                raise SettingsError([f"{NAMESPACE}:{name}: there is no server to log in to; take it out"])
        return settings


def is_secret_setting(key: str) -> bool:
    """Whether a key, without its namespace, is for `credentials` alone."""
    return key in SECRET_SETTINGS or key.startswith(names.RECEIVER_PREFIX)


def _plain(value: Any) -> Any:
    return yaml.safe_load(value) if isinstance(value, str) else value


def _problem(detail: Any) -> str:
    # What concerns several keys says which; it has no place of its own.
    path = ".".join(str(part) for part in detail["loc"])
    key = f"{NAMESPACE}:{path}" if path else NAMESPACE
    if detail["type"] == "extra_forbidden":
        return f"{key}: there is no such key; take it out or correct its spelling"
    if detail["type"] == "missing":
        return f"{key}: must be set"
    expectation = re.sub(r"^(Value error, |Input )", "", detail["msg"])
    expectation = re.sub(r"^should ", "must ", expectation)
    given = "" if isinstance(detail["input"], Mapping) else f", is {detail['input']!r}"
    return f"{key}: {expectation}{given}"
