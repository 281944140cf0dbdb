"""Plans that several tests of this folder ask about."""

from __future__ import annotations

from infra.plan import build_plan
from infra.settings import StackSettings

THREE_NODES = build_plan(
    StackSettings.from_config(
        {
            "pidea:environment": "prod",
            "pidea:instance": "pidea-t",
            "pidea:nodes": 3,
            "pidea:redis": {"replicas": 2},
        }
    )
)
