"""What differs by environment: how hard a broken rule is, and the values of the rules' parameters. One table each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policies.model import Level, Rule

STAGING: Final = "staging"
PROD: Final = "prod"

LEVELS: Final[Mapping[str, Level]] = {STAGING: Level.ADVISORY, PROD: Level.MANDATORY}
# Those that are about data, or about the rules themselves, are as hard in every environment.
EVERYWHERE: Final[Mapping[str, Level]] = {
    "exceptions-are-current": Level.MANDATORY,
    "no-data-loss": Level.MANDATORY,
    "no-database-downgrade": Level.MANDATORY,
}

PARAMETERS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    # What may be removed with its data: {"resource": …, "approved_by": …, "until": "2027-01-31"}.
    "no-data-loss": {STAGING: {"approvals": []}, PROD: {"approvals": []}},
    # The application's replicas share their last-resort cache, a SQLite file.
    "update-order-fits": {STAGING: {"sharing": ["app"]}, PROD: {"sharing": ["app"]}},
    "only-edge-publishes": {STAGING: {"allowed": ["edge"]}, PROD: {"allowed": ["edge"]}},
    # Ports can only be published from a network that is not internal, and receivers of alerts are elsewhere.
    "networks-internal": {
        STAGING: {"not_internal": ["public", "egress"]},
        PROD: {"not_internal": ["public", "egress"]},
    },
    "networks-encrypted": {STAGING: {"required": False}, PROD: {"required": True}},
    "drops-capabilities": {STAGING: {"allowed": []}, PROD: {"allowed": []}},
    "default-ulimits": {STAGING: {"allowed": []}, PROD: {"allowed": []}},
    "images-from-allowed-sources": {STAGING: {"sources": ["pidea/"]}, PROD: {"sources": ["pidea/"]}},
    "services-scraped": {
        STAGING: {"exporters": {"redis": "redis-exporter", "postgres": "postgres-exporter"}},
        # Sentinels have no figures of their own: Redis' exporters and the controller tell what they do.
        PROD: {"exporters": {"redis": "redis-exporter", "postgres": "postgres-exporter", "sentinel": "redis-exporter"}},
    },
    # Each says in the plan why it needs no backup.
    "volumes-backed-up": {
        STAGING: {"disposable": ["app-cache", "prometheus-data", "jaeger-data"]},
        PROD: {"disposable": ["app-cache", "prometheus-data", "jaeger-data", "etcd-data", "sentinel-data"]},
    },
    "logs-bounded": {STAGING: {"max_mib": 100}, PROD: {"max_mib": 100}},
    "fits-with-one-node-lost": {
        STAGING: {"nodes": 1, "node_memory_mib": 8192, "system_memory_mib": 1024, "node_cpus": 2},
        PROD: {"nodes": 3, "node_memory_mib": 8192, "system_memory_mib": 1024, "node_cpus": 4},
    },
    "within-budget": {
        STAGING: {
            **{"nodes": 1, "max_services": 20, "max_memory_mib": 8192},
            **{"node_price_per_month": 30, "max_cost_per_month": 30},
        },
        PROD: {
            **{"nodes": 3, "max_services": 40, "max_memory_mib": 24576},
            **{"node_price_per_month": 60, "max_cost_per_month": 300},
        },
    },
    "redis-topology": {
        STAGING: {"nodes": 1, "servers": 1, "sentinels": 0},
        PROD: {"nodes": 3, "servers": 3, "sentinels": 3},
    },
    "postgres-topology": {
        STAGING: {"nodes": 1, "servers": 1, "etcd": 0},
        PROD: {"nodes": 3, "servers": 3, "etcd": 3},
    },
    "spread-over-nodes": {STAGING: {"nodes": 1}, PROD: {"nodes": 3}},
    "data-stays-with-its-node": {
        STAGING: {"nodes": 1},
        PROD: {"nodes": 3, "disposable": ["app"]},
    },
    "edge-has-tls": {STAGING: {"required": False}, PROD: {"required": True}},
    "alerts-are-routed": {STAGING: {"required": False}, PROD: {"required": True}},
    "traces-are-sampled": {STAGING: {"max_ratio": 1.0}, PROD: {"max_ratio": 0.25}},
}


def level(rule: Rule, environment: str) -> Level:
    """What a broken rule does there; an environment that the table does not know is as strict as prod."""
    return EVERYWHERE.get(rule.id, LEVELS.get(environment, LEVELS[PROD]))


def parameters(rule: Rule, environment: str) -> Mapping[str, Any]:
    """The values of the rule's parameters there."""
    found = PARAMETERS.get(rule.id, {})
    return found.get(environment, found.get(PROD, {}))
