"""The machine's clock is set, back and ahead, under a database and its backups: all that was written comes back."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import names
from infra.spec import DeploymentPlan
from ops.backup import catalog
from tests.backup.stand import Service, Stand, standing
from tests.stack.plain import docker
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.backup, pytest.mark.timeout(900)]

_FOLDER = Path(__file__).parent / "clock"
_NOTES = "public.notes"
_HOUR = 3600
_MONTH = 30 * 24 * _HOUR


class ClockStand(Stand):
    """All of its servers see one clock, which `set_clock` sets."""

    def __init__(self) -> None:
        super().__init__("pidea-test-clock")
        self.folder.chmod(0o755)
        (self.folder / "clock").mkdir()
        self.options = [f"--volume={self.folder / 'clock'}:/clock:ro"]
        self.set_clock(0)

    def set_clock(self, seconds: int) -> None:
        """So far from the machine's own, from now on."""
        (self.folder / "clock/new").write_text(f"{seconds:+d}\n")
        (self.folder / "clock/new").rename(self.folder / "clock/offset")

    def now(self) -> datetime.datetime:
        """The database's clock."""
        return catalog.moment(
            self.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")
        )

    def _image(self, image: str, plan: DeploymentPlan) -> str:
        base = super()._image(image, plan)
        if image not in (names.BACKUP, names.POSTGRES):
            return base
        made = f"pidea/test-clock-{image}"
        docker("build", "--quiet", "--network=host", f"--build-arg=BASE={base}", "-t", made, str(_FOLDER), seconds=900)
        return made


@pytest.fixture(scope="module")
def stand() -> Iterator[ClockStand]:
    with standing(ClockStand()) as made:
        yield made


@pytest.fixture
def service(stand: ClockStand) -> Iterator[Service]:
    stand.set_clock(0)
    with stand.service() as made:
        wait_until(lambda: made.do("list")["ranges"], "there is a base", timeout_seconds=120)
        yield made


def rows_at(service: Service, at: datetime.datetime | None = None) -> int:
    """How many rows a restore brings back."""
    chosen = ["--at", catalog.tagged(at)] if at else []
    return int(service.do("prepare", "postgres", *chosen)["rows"][_NOTES])


def bases(service: Service) -> list[str]:
    return [snapshot["id"] for snapshot in service.do("list")["snapshots"] if snapshot["kind"] == "base"]


def figures(service: Service) -> dict[str, float]:
    """What the service tells Prometheus."""
    found = re.findall(r"^(pidea_\S+) (\S+)$", service.metrics(), re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_set_back(stand: ClockStand, service: Service) -> None:
    """By an hour: times come twice."""
    written = stand.write(500)
    before = stand.now()
    service.do("push")
    (first,) = bases(service)
    stand.set_clock(-_HOUR)
    assert stand.now() < before - datetime.timedelta(seconds=_HOUR - 60)
    more = stand.write(700)
    service.do("push")
    assert rows_at(service) == more  # at once, with no base of the new time yet

    wait_until(lambda: len(bases(service)) == 2, "the service has made another base", timeout_seconds=120)
    last = stand.write(300)
    service.do("push")
    assert rows_at(service) == last
    assert rows_at(service, before) == written  # what was, before the clock was set, can still be had
    service.do("tidy")
    assert rows_at(service) == last
    assert first in bases(service)
    found = figures(service)
    now = found["pidea_backup_time_seconds"]
    assert now < before.timestamp()
    assert [name for name, value in found.items() if "_timestamp_seconds" in name and value > now + 1] == []


def test_ahead_for_a_while(stand: ClockStand, service: Service) -> None:
    """By a month, and back again: the snapshots of that while are of the future."""
    written = stand.write(500)
    before = stand.now()
    service.do("push")
    stand.set_clock(_MONTH)
    ahead = stand.write(700)
    # The server takes its receiver for dead, whose last word is a month old, and hears from it anew.
    wait_until(lambda: service.ask("push").code == 0, "the receiver follows", timeout_seconds=60)
    assert rows_at(service) == ahead
    assert rows_at(service, before) == written
    service.do("now", "postgres", "redis")
    service.do("tidy")
    assert rows_at(service, before) == written  # nothing is old because the clock says so
    made = len(bases(service))

    stand.set_clock(0)
    back = stand.write(900)
    service.do("push")
    assert rows_at(service) == back
    wait_until(lambda: len(bases(service)) == made + 1, "the service has made another base", timeout_seconds=120)
    last = stand.write(100)
    service.do("push")
    service.do("tidy")
    assert rows_at(service) == last
    assert rows_at(service, before) == written
    now = figures(service)["pidea_backup_time_seconds"]
    late = figures(service)['pidea_backup_last_success_timestamp_seconds{backup="redis"}']
    assert late <= now + 1  # else nobody would hear that Redis has had no backup for a month
    service.do("drill")
