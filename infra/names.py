"""Every service, network, volume and secret name, every port and every user id, in one place."""

from __future__ import annotations

from typing import Final

# Services
REDIS: Final = "redis"
POSTGRES: Final = "postgres"
APP: Final = "app"
EDGE: Final = "edge"
PROMETHEUS: Final = "prometheus"
ALERTMANAGER: Final = "alertmanager"
JAEGER: Final = "jaeger"
COLLECTOR: Final = "collector"
REDIS_EXPORTER: Final = "redis-exporter"
POSTGRES_EXPORTER: Final = "postgres-exporter"
NODE_EXPORTER: Final = "node-exporter"
BLACKBOX_EXPORTER: Final = "blackbox-exporter"
SENTINEL: Final = "sentinel"
ETCD: Final = "etcd"
CONTROLLER: Final = "controller"
BACKUP: Final = "backup"
DASHBOARDS: Final = "dashboards"
GRAFANA: Final = "grafana"

# The node label with a node's number; what keeps data is bound to one.
SLOT_LABEL: Final = "dev.pidea.slot"

# Images: one for each service, and the base that they all start from.
BASE_IMAGE: Final = "base"
HAPROXY_IMAGE: Final = "haproxy"
PATRONI: Final = "patroni"

# Networks. Only PUBLIC and EGRESS have a way out of the machine: the edge's, and the one to who is told of alerts and
# to servers that keep backups.
PUBLIC: Final = "public"
WEB: Final = "web"
DATA: Final = "data"
TELEMETRY: Final = "telemetry"
CONSENSUS: Final = "consensus"
EGRESS: Final = "egress"

# Volumes
REDIS_DATA: Final = "redis-data"
POSTGRES_DATA: Final = "postgres-data"
PROMETHEUS_DATA: Final = "prometheus-data"
ALERTMANAGER_DATA: Final = "alertmanager-data"
SENTINEL_DATA: Final = "sentinel-data"
ETCD_DATA: Final = "etcd-data"
JAEGER_DATA: Final = "jaeger-data"
APP_CACHE: Final = "app-cache"
BACKUP_DATA: Final = "backup-data"

# Random passwords
REDIS_APP_PASSWORD: Final = "redis-app-password"  # noqa: S105 - a name, not a password; so are the next lines
REDIS_EXPORTER_PASSWORD: Final = "redis-exporter-password"  # noqa: S105
REDIS_ADMIN_PASSWORD: Final = "redis-admin-password"  # noqa: S105
REDIS_REPLICATION_PASSWORD: Final = "redis-replication-password"  # noqa: S105
REDIS_SENTINEL_PASSWORD: Final = "redis-sentinel-password"  # noqa: S105
REDIS_CONTROLLER_PASSWORD: Final = "redis-controller-password"  # noqa: S105
REDIS_BACKUP_PASSWORD: Final = "redis-backup-password"  # noqa: S105
POSTGRES_SUPERUSER_PASSWORD: Final = "postgres-superuser-password"  # noqa: S105
POSTGRES_APP_PASSWORD: Final = "postgres-app-password"  # noqa: S105
POSTGRES_EXPORTER_PASSWORD: Final = "postgres-exporter-password"  # noqa: S105
POSTGRES_BACKUP_PASSWORD: Final = "postgres-backup-password"  # noqa: S105
POSTGRES_STANDBY_PASSWORD: Final = "postgres-standby-password"  # noqa: S105
POSTGRES_REWIND_PASSWORD: Final = "postgres-rewind-password"  # noqa: S105
PATRONI_REST_PASSWORD: Final = "patroni-rest-password"  # noqa: S105
OPERATOR_PASSWORD: Final = "operator-password"  # noqa: S105
# Of the repository, whose data stays readable: no version makes it anew.
BACKUP_REPOSITORY_PASSWORD: Final = "backup-repository-password"  # noqa: S105
API_TOKEN: Final = "api-token"  # noqa: S105

# Secrets made from them, in the form that a server reads
REDIS_ACL: Final = "redis-acl"
SENTINEL_ACL: Final = "sentinel-acl"
REDIS_EXPORTER_PASSWORDS: Final = "redis-exporter-passwords"
EDGE_USERS: Final = "edge-users"
API_CLIENTS: Final = "api-clients"

# The secret that comes from outside, out of the secret setting of that name
EDGE_CERTIFICATE: Final = "edge-certificate"
EDGE_CERTIFICATE_SETTING: Final = "edgeCertificate"

# What is secret of a receiver of alerts: `receiver-` and its name, both as a secret and as a secret setting
RECEIVER_PREFIX: Final = "receiver-"

# What a server with backups lets the stack in with, both as a secret and as a secret setting
BACKUP_REPOSITORY_LOGIN: Final = "backup-repository-login"
BACKUP_OFFSITE_LOGIN: Final = "backup-offsite-login"

OPERATOR_USERNAME: Final = "operator"
API_CLIENT: Final = "pidea"
REDIS_APP_USERNAME: Final = "app"
REDIS_EXPORTER_USERNAME: Final = "exporter"
REDIS_ADMIN_USERNAME: Final = "admin"
REDIS_REPLICATION_USERNAME: Final = "replication"
REDIS_SENTINEL_USERNAME: Final = "sentinel"
REDIS_CONTROLLER_USERNAME: Final = "controller"
REDIS_BACKUP_USERNAME: Final = "backup"
# What the sentinels call the primary, whichever server it is.
REDIS_PRIMARY: Final = "pidea"
POSTGRES_DATABASE: Final = "pidea"
POSTGRES_APP_USERNAME: Final = "pidea_app"
POSTGRES_EXPORTER_USERNAME: Final = "pidea_exporter"
POSTGRES_BACKUP_USERNAME: Final = "pidea_backup"
POSTGRES_STANDBY_USERNAME: Final = "pidea_standby"
POSTGRES_REWIND_USERNAME: Final = "pidea_rewind"
PATRONI_USERNAME: Final = "patroni"

# Ports inside the containers. What the edge publishes on the machine is a setting.
APP_PORT: Final = 8080
EDGE_PUBLIC_PORT: Final = 8080
EDGE_OPERATOR_PORT: Final = 8081
EDGE_METRICS_PORT: Final = 8405
REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
POSTGRES_PORT: Final = 5432
PATRONI_PORT: Final = 8008
ETCD_CLIENT_PORT: Final = 2379
ETCD_PEER_PORT: Final = 2380
ETCD_METRICS_PORT: Final = 2381
PROMETHEUS_PORT: Final = 9090
ALERTMANAGER_PORT: Final = 9093
ALERTMANAGER_CLUSTER_PORT: Final = 9094
JAEGER_OTLP_HTTP_PORT: Final = 4318
JAEGER_QUERY_PORT: Final = 16686
JAEGER_HEALTH_PORT: Final = 13133
JAEGER_METRICS_PORT: Final = 8888
REDIS_EXPORTER_PORT: Final = 9121
POSTGRES_EXPORTER_PORT: Final = 9187
NODE_EXPORTER_PORT: Final = 9100
BLACKBOX_EXPORTER_PORT: Final = 9115
CONTROLLER_PORT: Final = 9200
BACKUP_PORT: Final = 9201
DASHBOARDS_PORT: Final = 9202
GRAFANA_PORT: Final = 3000

# User (and group) ids inside the containers; the Dockerfiles create the same.
APP_UID: Final = 10001
REDIS_UID: Final = 10002
POSTGRES_UID: Final = 10003
EDGE_UID: Final = 10004
PROMETHEUS_UID: Final = 10005
ALERTMANAGER_UID: Final = 10006
JAEGER_UID: Final = 10007
EXPORTER_UID: Final = 10008
ETCD_UID: Final = 10009
CONTROLLER_UID: Final = 10010
BACKUP_UID: Final = 10011
DASHBOARDS_UID: Final = 10012
GRAFANA_UID: Final = 10013

SECRETS_FOLDER: Final = "/run/secrets"


def physical(instance: str, logical: str) -> str:
    """The name in Docker of what the program calls `logical`: `pidea-staging` + `redis` → `pidea-staging-redis`."""
    return f"{instance}-{logical}"


def member(service: str, slot: int) -> str:
    """The logical name of a cluster's member on node `slot`: `redis` + 2 → `redis-2`."""
    return f"{service}-{slot}"


def of_generation(username: str, secrets_version: int) -> str:
    """The role of a PostgreSQL cluster that has the passwords of that version: `pidea_app` + 1 → `pidea_app_a`.

    Two generations take turns, so that nobody is locked out while members and clients change over.
    """
    return f"{username}_{'a' if secrets_version % 2 else 'b'}"


def secret_path(secret: str) -> str:
    """Where a container finds a secret."""
    return f"{SECRETS_FOLDER}/{secret}"
