"""What could be restored, how fast, and whether that was proven."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.dashboards.panels import Limits, Query, Unit, figure, lines, page, rows
from infra.settings import StackSettings

_HOUR = 3600


def page_of(_: StackSettings) -> Dashboard:
    """The same for every stack."""
    return page(
        "backups",
        "Backups",
        "The repository, the jobs, and the drills that restore it. How data comes back: docs/runbooks/restore.md.",
        [
            figure(
                "Jobs that fail",
                "Whose last run failed.",
                Unit.COUNT,
                Query("sum(pidea_backup_failing) or vector(0)", "jobs"),
                limits=Limits(1, 1),
            ),
            figure(
                "Exposed now",
                "What was written to PostgreSQL in this time would be lost with its disk.",
                Unit.SECONDS,
                Query("max(time() - (pidea_backup_wal_until_timestamp_seconds > 0))", "exposed"),
                limits=Limits(400, 600),
            ),
            figure(
                "Oldest last success",
                "Of the nightly jobs; a new stack has none yet.",
                Unit.SECONDS,
                Query(
                    "max(time() - pidea_backup_last_success_timestamp_seconds"
                    '{backup=~"postgres|redis|alertmanager"}) or max(time() - pidea_backup_started_timestamp_seconds)',
                    "ago",
                ),
                limits=Limits(26 * _HOUR, 30 * _HOUR),
            ),
            figure(
                "Last restore took",
                "The longest restore of the last drill; 0 before the first one.",
                Unit.SECONDS,
                Query("max(pidea_backup_drill_rto_seconds) or vector(0)", "restore"),
            ),
            figure(
                "Last drill lost",
                "How old the newest restorable moment was at the last drill; 0 before the first one.",
                Unit.SECONDS,
                Query("max(pidea_backup_drill_rpo_seconds) or vector(0)", "lost"),
            ),
            figure(
                "Differences",
                "That the last drill found between what was stored and what came back.",
                Unit.COUNT,
                Query("max(pidea_backup_drill_mismatches) or vector(0)", "differences"),
                limits=Limits(1, 1),
            ),
            lines(
                "Not in a backup yet",
                "A saw: each tooth is a piece of WAL that was stored.",
                Unit.SECONDS,
                Query("max(time() - (pidea_backup_wal_until_timestamp_seconds > 0))", "exposed"),
            ),
            lines(
                "Repository",
                "What it takes, deduplicated, and what all restores together would.",
                Unit.BYTES,
                Query("max(pidea_backup_repository_bytes or pidea_backup_free_bytes * 0)", "repository"),
                Query("max(pidea_backup_restore_bytes or pidea_backup_free_bytes * 0)", "restored"),
            ),
            lines(
                "Free for backups",
                "Where the repository is.",
                Unit.BYTES,
                Query("pidea_backup_free_bytes", "free"),
            ),
            rows(
                "Jobs",
                "When each last succeeded: how long ago.",
                Unit.SECONDS,
                Query("time() - max by (backup) (pidea_backup_last_success_timestamp_seconds)", "{{backup}}"),
            ),
        ],
        since="now-24h",
    )
