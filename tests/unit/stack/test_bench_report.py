"""What the benchmark of the backend makes of what it measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops import paths
from ops.bench import measure, report
from ops.bench.stand import Mix
from ops.errors import UsageError

FAST = measure.Load(900.0, 4.0, 3.0, 20.0, 1000, 0, 40, 0.95, 0.4, 0.5, 5.0)
SLOW = measure.Load(300.0, 16.0, 12.0, 90.0, 500, 2, 480, 0.0, 0.9, 1.5, 6.0)


def second(number: int, latency_ms: float, state: str, *, failed: int = 0, stale: int = 0) -> dict[str, object]:
    breakers = {"postgres": state} if state else {}
    return {
        "second": number,
        "latencies_ms": [latency_ms] * 10,
        "failed_reads": failed,
        "failed_writes": failed,
        "stale": stale,
        "breakers": breakers,
    }


def test_a_table_of_variants_says_by_how_much_what_is_better() -> None:
    rows = report.variants({"optimised": FAST, "baseline": SLOW}, {"optimised": SLOW, "baseline": FAST}).splitlines()
    assert "| requests a second | 300 | 900 | 3.00 |" in rows
    assert "| mean response (ms) | 16.00 | 4.00 | 4.00 |" in rows
    assert "| mean of reads, within the service (ms) | 1.50 | 0.50 | 3.00 |" in rows
    assert "| hit rate | 0.0 % | 95.0 % |  |" in rows
    assert "| mean response (ms) | 4.00 | 16.00 | 0.25 |" in rows, "the other load"


def test_ours_comes_first_and_loads_are_for_each_thousand_requests() -> None:
    table = report.libraries({"cashews": SLOW, measure.OURS: FAST})
    assert table.startswith("|  | pidea | cashews |")
    assert "| reads that PostgreSQL answered, of 1,000 requests | 40.0 | 960.0 |" in table


def test_an_outage_is_divided_where_the_dependency_goes_and_comes_back() -> None:
    seen = [
        *(second(number, 2.0, "closed") for number in range(4)),
        *(second(number, 50.0, "open", failed=1, stale=3) for number in range(4, 10)),
        *(second(number, 3.0, "closed") for number in range(10, 14)),
    ]
    outage = measure.outage_of("pidea", "postgres killed", seen, away_seconds=4.0)
    before, during, after = outage.phases
    assert (before.requests, before.failed_reads, before.p99_ms) == (40, 0, 2.0)
    assert (during.requests, during.failed_reads, during.failed_writes, during.stale) == (60, 6, 6, 18)
    assert (after.requests, after.max_ms) == (40, 3.0)
    assert outage.breaker == ("postgres open at 0 s", "postgres closed at 6 s")
    assert "| during | 6 | 60 | 6 of reads, 6 of writes | 20.00 % |" in report.outages([outage])


def test_a_service_that_tells_of_no_breakers_has_no_timeline() -> None:
    seen = [second(number, 1.0, "") for number in range(12)]
    outage = measure.outage_of("cashews", "Redis frozen", seen, away_seconds=2.0)
    assert outage.breaker == ()
    assert "Breakers" not in report.outages([outage])


def test_identical_calls_that_were_executed_twice_are_told() -> None:
    assert "2 executed, 1 duplicates" in report.identical(measure.Identical(100, 100, 2, 1.0))


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n<!-- bench:y -->\n<!-- /bench:y -->\n")
    report.write(readme, {"x": "new"})
    report.write(readme, {"x": "newer"})
    assert readme.read_text() == (
        "a\n<!-- bench:x -->\n\nnewer\n\n<!-- /bench:x -->\nb\n<!-- bench:y -->\n<!-- /bench:y -->\n"
    )


def test_a_readme_without_a_place_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing")
    with pytest.raises(UsageError, match="no place for x"):
        report.write(readme, {"x": "new"})
    assert readme.read_text() == "nothing"


def test_the_readme_of_the_backend_has_a_place_for_every_section() -> None:
    text = (paths.REPO / "app" / "README.md").read_text(encoding="utf-8")
    names = ("conditions", "variants", "libraries", "identical", "monitoring", "outages", "soak")
    assert [name for name in names if f"<!-- bench:{name} -->\n" not in text] == []
    assert [name for name in names if f"<!-- /bench:{name} -->\n" not in text] == []


def test_the_load_generators_know_the_mix_by_their_environment() -> None:
    expected = {"CHATS": "7", "SKEW": "0.5", "WRITES": "0.1", "THINK_MS": "9"}
    assert Mix(chats=7, skew=0.5, writes=0.1, think_ms=9).environment == expected
