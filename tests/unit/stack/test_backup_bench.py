"""What the benchmark of backups makes of what it measured, and that it leaves nothing behind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from infra.settings import StackSettings
from ops import cli
from ops.bench import backup_report, backups, stand
from ops.bench.backup_report import Bench, Cost, Served
from ops.stack import deploy as deployments
from ops.stack import instances, teardown
from ops.stack.reference import Stack
from tests.unit.infra.conftest import read_config

MIB = 2**20
CALM = Served(requests=4500, failed=0, p50_ms=3.0, p99_ms=20.0)


def costs(seconds: float, size_mib: float | None, cpu: float) -> list[Cost]:
    """Of three rounds, the middle one as given."""
    size = size_mib * MIB if size_mib is not None else None
    return [Cost(seconds=seconds * by, size_bytes=size, cpu_seconds=cpu * by) for by in (1, 0.5, 9)]


MEASURED = Bench(
    postgres_bytes=1024 * MIB,
    redis_bytes=500 * MIB,
    rounds=3,
    load=0.5,
    costs={
        "first postgres": costs(20, 300, 15),
        "first redis": costs(10, 100, 5),
        "newest postgres": costs(10, 3, 5),
        "scattered postgres": costs(15, 200, 10),
        "dump postgres": costs(60, 500, 50),
        "dump redis": costs(15, 500, 10),
        "prepare postgres": costs(40, 1000, 30),
        "prepare redis": costs(10, 500, 5),
        "restore postgres": costs(100, 1000, 60),
        "restore redis": costs(20, 500, 6),
        "read back postgres": costs(150, None, 160),
        "read back redis": costs(10, None, 2),
    },
    served=(CALM, dataclasses.replace(CALM, p99_ms=29.0)),
)


def test_the_table_has_medians_and_ratios_of_both_servers_together() -> None:
    rows = backup_report.page(MEASURED).splitlines()
    assert "| first backup | 30.0 | 400 | 20.0 | 75.0 | 1,000 | 60.0 | 0.40 | 0.40 | 0.33 |" in rows
    assert "| – of PostgreSQL | 20.0 | 300 | 15.0 | 60.0 | 500 | 50.0 | 0.33 | 0.60 | 0.30 |" in rows
    # What was read back is not stored anywhere: there is no size to compare.
    assert "| restore, the whole commands | 120.0 | 1,500 | 66.0 | 160.0 | – | 162.0 | 0.75 | – | 0.41 |" in rows
    assert "| during backups | 4,500 | 0 | 3.0 | 29.0 |" in rows


def test_what_is_asked_is_judged_to_the_limit() -> None:
    assert MEASURED.is_enough
    assert "| whole stack restored (s) | ≤ 300 | 120.00 | yes |" in backup_report.page(MEASURED)
    slow = dataclasses.replace(MEASURED, costs={**MEASURED.costs, "restore postgres": costs(281, 1000, 60)})
    assert not slow.is_enough
    assert "| whole stack restored (s) | ≤ 300 | 301.00 | **no** |" in backup_report.page(slow)
    felt = dataclasses.replace(MEASURED, served=(CALM, dataclasses.replace(CALM, p99_ms=31.0)))
    assert not felt.is_enough
    assert "| p99 during backups to without | ≤ 1.5 | 1.55 | **no** |" in backup_report.page(felt)


def test_the_instance_has_room_in_redis_and_no_backup_by_the_clock() -> None:
    config = read_config("staging") | {"pidea:instance": "pidea-bench-backup"}
    large, small = (StackSettings.from_config(config | dict(backups.settings(mib))) for mib in (500, 64))
    assert (large.redis.max_memory_mib, small.redis.max_memory_mib) == (564, 512)
    assert {large.backup.schedule, large.backup.check_schedule, large.backup.drill_schedule} == {"0 0 29 2 *"}


def test_the_command_says_no_where_it_is_too_much_and_writes_its_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = tmp_path / "backups.md"
    document.write_text("before\n<!-- bench:backup -->\nold\n<!-- /bench:backup -->\nafter\n")
    monkeypatch.setattr(backup_report, "DOCUMENT", document)
    asked: dict[str, Any] = {}
    monkeypatch.setattr(backups, "run", lambda **options: asked.update(options) or MEASURED)
    done = CliRunner().invoke(cli.build(), ["bench", "backup", "--redis-mib", "64", "--write", "--json"])
    assert done.exit_code == 0, done.output
    assert asked == {"postgres_mib": 1024, "redis_mib": 64, "rounds": 2, "loads": 5, "keep": False}
    assert json.loads(done.stdout)["p99_ratio"] == 1.45
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| first backup | 30.0 |" in text
    assert "old" not in text

    slow = dataclasses.replace(MEASURED, costs={**MEASURED.costs, "restore redis": costs(999, 500, 6)})
    monkeypatch.setattr(backups, "run", lambda **_: slow)
    assert CliRunner().invoke(cli.build(), ["bench", "backup"]).exit_code == 1


def test_the_page_has_a_place_for_the_tables() -> None:
    text = backup_report.DOCUMENT.read_text(encoding="utf-8")
    assert "<!-- bench:backup -->\n" in text
    assert "<!-- /bench:backup -->" in text


@pytest.mark.parametrize("keep", [False, True])
def test_an_interrupted_deployment_is_removed_again(
    keep: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack = Stack(environment="staging", instance="bench-test", local=tmp_path)
    removed: list[tuple[Stack, bool]] = []
    deployed: dict[str, Any] = {}

    def ensure(wanted: Stack) -> None:
        wanted.folder.mkdir(parents=True)
        wanted.config_file.write_text("config:\n  pidea:redis:\n    maxMemoryMib: 512\n    replicas: 0\n")

    def deploy(wanted: Stack) -> None:
        deployed.update(yaml.safe_load(wanted.config_file.read_text())["config"])
        raise KeyboardInterrupt

    monkeypatch.setattr(stand, "resolve", lambda *_: stack)
    monkeypatch.setattr(instances, "ensure", ensure)
    monkeypatch.setattr(deployments, "deploy", deploy)
    monkeypatch.setattr(teardown, "destroy", lambda wanted, *, with_data: removed.append((wanted, with_data)))
    with (
        pytest.raises(KeyboardInterrupt),
        stand.opened(keep=keep, instance="bench-test", config={"pidea:redis": {"maxMemoryMib": 564}}),
    ):
        pass
    assert deployed == {"pidea:redis": {"maxMemoryMib": 564, "replicas": 0}}
    assert removed == ([] if keep else [(stack, True)])
