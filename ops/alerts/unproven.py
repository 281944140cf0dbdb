"""The alerts that are not made to fire on a running stack, and why; their cases in tests/alerts prove them alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_QUARTER = "it waits for 10 to 30 minutes of it"
_HOURS = "it is about hours or days"
_MACHINE = "it would take the machine's own memory, processors or clock, which others use"

UNPROVEN: Mapping[str, str] = MappingProxyType(
    {
        "PideaAlertmanagersApart": "the members would have to be cut off from one another and from nobody else",
        "PideaBackupDrillLate": _HOURS,
        "PideaBackupGrowing": _HOURS,
        "PideaBackupLate": _HOURS,
        "PideaCacheHitRateLow": _QUARTER,
        "PideaCertificateEnding": "it asks for another certificate, which a deployment brings",
        "PideaDedupRefused": "it needs more load than one machine can make and serve",
        "PideaEdgeErrorRateHigh": "where no replica takes requests it is kept back in favour of PideaAppAbsent",
        "PideaEtcdDiskSlow": "it needs a disk that is slow",
        "PideaEtcdNearlyFull": _QUARTER,
        "PideaHeartbeat": "it fires all the time, where somebody listens to it",
        "PideaMetricsNotKept": "it is over only an hour after the damage",
        "PideaNodeClockWrong": _MACHINE,
        "PideaNodeCpuHigh": _MACHINE,
        "PideaNodeDiskFilling": _MACHINE,
        "PideaNodeDiskWillFill": _HOURS,
        "PideaNodeInodesLow": _MACHINE,
        "PideaNodeMemoryLow": _MACHINE,
        "PideaPerformanceDegraded": "what slows requests down breaks a promise too: PideaSloBurnsFast is told instead",
        "PideaPostgresMemberDown": "while a member is away for so long, one of the critical alerts is told instead",
        "PideaPostgresNoPrimary": "Patroni would have to be told not to act, and then be broken",
        "PideaPostgresStandbyLags": "it needs a standby that is behind and streams, which PostgreSQL prevents",
        "PideaPostgresTwoPrimaries": "Patroni and etcd are there to make it impossible",
        "PideaRedisEvicting": _QUARTER,
        "PideaRedisNoFailover": "two sentinels must run and yet not reach one another",
        "PideaRedisNotRepaired": "the controller repairs what can be caused",
        "PideaRedisRepairFailed": "the controller repairs what can be caused",
        "PideaRedisRepairedOften": _QUARTER,
        "PideaRedisReplicaLags": "a replica that stands still is given up before it waited for long enough",
        "PideaReleasesMixed": _QUARTER,
        "PideaRequestsShed": "it needs more load than one machine can make and serve",
        "PideaRulesFailing": "it needs a rule that is wrong, which is refused before it is deployed",
        "PideaRulesOverBudget": _QUARTER,
        "PideaSamplesOverBudget": _QUARTER,
        "PideaSeriesOverBudget": _QUARTER,
        "PideaServiceAbsent": "where DNS is silent about names that are gone, PideaTargetDown is told instead",
        "PideaSloBurnsSlowly": _HOURS,
        "PideaTraceBufferFilling": "it needs more traces than one machine can make and keep",
        "PideaTracesLost": "it needs more traces than one machine can make and keep",
        "PideaVariantWorse": _QUARTER,
    }
)
