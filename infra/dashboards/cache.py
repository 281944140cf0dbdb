"""The cache's three tiers: what they answer, how fast, and whether they stay coherent."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Limits, Query, Unit, figure, lines, or_none, page
from infra.settings import StackSettings


def page_of(_: StackSettings) -> Dashboard:
    """The same for every stack."""
    return page(
        "cache",
        "Cache tiers",
        "l1 is the replica's memory, l2 Redis, l3 the last resort on disk, origin PostgreSQL.",
        [
            figure(
                "Hit rate",
                "Of all cached reads, those that l1 or l2 answered. Below half the cache is of little use.",
                Unit.RATIO,
                Query("max(job:pidea_cache_hits:ratio_rate5m)", "hits"),
                limits=Limits(0.7, 0.5),
                width=6,
            ),
            figure(
                "Cached reads",
                "Reads that could be answered by a tier.",
                Unit.PER_SECOND,
                Query("sum(rate(pidea_cache_reads_total[$__rate_interval]))", "reads"),
                width=6,
            ),
            figure(
                "Stale answers",
                "Reads answered with what was true up to an hour ago, because PostgreSQL is away.",
                Unit.PER_SECOND,
                Query('sum(rate(pidea_cache_reads_total{stale="true"}[$__rate_interval])) or vector(0)', "stale"),
                limits=Limits(0.001, 0.001),
                width=6,
            ),
            figure(
                "Failed operations",
                "Operations of the cache that failed; the requests went on without.",
                Unit.PER_SECOND,
                Query("sum(rate(pidea_cache_errors_total[$__rate_interval])) or vector(0)", "failed"),
                limits=Limits(0.001, 0.1),
                width=6,
            ),
            lines(
                "Reads by what answered them",
                "Much 'origin' is a cold cache, or one that Redis does not answer.",
                Unit.PER_SECOND,
                Query("sum by (source) (rate(pidea_cache_reads_total[$__rate_interval]))", "{{source}}"),
                stacked=True,
            ),
            lines(
                "Hit rate of each tier",
                "Of the lookups in a tier, those that found something.",
                Unit.RATIO,
                Query(
                    "sum by (tier) (rate(pidea_cache_hits_total[$__rate_interval])) / ("
                    "sum by (tier) (rate(pidea_cache_hits_total[$__rate_interval]))"
                    " + sum by (tier) (rate(pidea_cache_misses_total[$__rate_interval])) > 0)",
                    "{{tier}}",
                ),
                top=1,
            ),
            lines(
                "Time of a lookup",
                "99 of 100 lookups are done within this time.",
                Unit.SECONDS,
                Query(
                    "histogram_quantile(0.99, sum by (tier, le) ("
                    "rate(pidea_cache_lookup_duration_seconds_bucket[$__rate_interval])))",
                    "{{tier}}",
                ),
            ),
            lines(
                "Time of a cached read",
                "95 of 100 requests are answered within this time, by what answered them.",
                Unit.SECONDS,
                Query(
                    "histogram_quantile(0.95, sum by (source, le) ("
                    "rate(pidea_cached_read_duration_seconds_bucket[$__rate_interval])))",
                    "{{source}}",
                ),
            ),
            lines(
                "Invalidations",
                "Groups dropped: by a write of the replica itself, and by word of another one.",
                Unit.PER_SECOND,
                Query("sum by (origin) (rate(pidea_cache_invalidations_total[$__rate_interval]))", "{{origin}}"),
            ),
            lines(
                "Refreshes and failures",
                "Entries loaded again before they expired, and operations that failed.",
                Unit.PER_SECOND,
                Query("sum(rate(pidea_cache_refreshes_total[$__rate_interval]))", "refreshed"),
                Query(
                    or_none("sum by (tier, operation) (rate(pidea_cache_errors_total[$__rate_interval]))", "operation"),
                    "failed: {{tier}} {{operation}}",
                ),
            ),
        ],
    )
