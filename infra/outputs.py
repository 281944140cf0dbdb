"""The stack's outputs: the only contract between the program and what comes after it (ops, tests)."""

from __future__ import annotations

from typing import Final

ENVIRONMENT: Final = "environment"
INSTANCE: Final = "instance"
EDGE_PORT: Final = "edgePort"
OPERATOR_PORT: Final = "operatorPort"
EDGE_TLS: Final = "edgeTls"
# The edge's certificate and its issuers, PEM; empty without TLS.
EDGE_CERTIFICATE_CHAIN: Final = "edgeCertificateChain"
OPERATOR_USERNAME: Final = "operatorUsername"
OPERATOR_PASSWORD: Final = "operatorPassword"  # noqa: S105 - the output's name
API_TOKEN: Final = "apiToken"  # noqa: S105 - the output's name
SERVICES: Final = "services"
VOLUMES: Final = "volumes"
NETWORKS: Final = "networks"
