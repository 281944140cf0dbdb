"""Dashboards as code: one definition, in Grafana's format, for whatever shows it."""

from __future__ import annotations

import dataclasses
import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from infra.dashboards import (
    application,
    backups,
    cache,
    capacity,
    changes,
    edge,
    experience,
    experiments,
    objectives,
    overview,
    postgres,
    redis,
    resilience,
)
from infra.settings import StackSettings

# As they are listed: first what one looks at first.
_PAGES = (
    overview.page_of,
    application.page_of,
    cache.page_of,
    resilience.page_of,
    redis.page_of,
    postgres.page_of,
    edge.page_of,
    objectives.page_of,
    experience.page_of,
    experiments.page_of,
    changes.page_of,
    capacity.page_of,
    backups.page_of,
)


@dataclasses.dataclass(frozen=True)
class Dashboard:
    """A dashboard as JSON of Grafana; `uid` is its address."""

    uid: str
    content: str


def dashboards(settings: StackSettings) -> tuple[Dashboard, ...]:
    """Every dashboard of the stack, in the order of the list. The same settings make the same text."""
    made = []
    for make in _PAGES:
        page = make(settings).build()
        # The order of the list, for who shows it.
        content = json.dumps(page, cls=JSONEncoder, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        made.append(Dashboard(uid=str(page.uid), content=f"{content}\n"))
    return tuple(made)
