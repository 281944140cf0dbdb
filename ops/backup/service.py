"""The service: WAL all the time, everything else when its schedule says, and a page for Prometheus."""

from __future__ import annotations

import contextlib
import datetime
import functools
import http.server
import random
import threading
import time
from collections.abc import Callable

from ops.backup import log, metrics, postgres, state, wal
from ops.backup.drill import drill
from ops.backup.errors import BackupError
from ops.backup.jobs import ALERTMANAGER, ALL, DAILY_SHARE, POSTGRES, Jobs
from ops.backup.schedule import Timetable
from ops.backup.settings import Settings

_POLL_SECONDS = 1.0
# While nobody writes the newest snapshot still says until when that is known.
_IDLE_SECONDS = 300.0
_MARK_SECONDS = 600.0
# A mark takes at most a hundredth of the time.
_MARK_PAUSES = 100
_STUCK_SECONDS = 120.0
_WAIT_SECONDS = 3600.0
_SET_BACK_SECONDS = 10.0


class Service:
    """Runs until `end`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = threading.Event()
        self._receiver = wal.Receiver(settings)
        self._started = time.time()
        self._clock = _clock()
        # The epoch in which the database's clock was set back: a moment of it can be two, so another one is due.
        self._ambiguous: str | None = None
        self._beats = {"push": time.monotonic()}
        self._jobs = Jobs(settings, wait_seconds=_WAIT_SECONDS)

    def run(self) -> None:
        """Looks after the repository first: what a killed run left behind ends here."""
        settings = self._settings
        for folder in (settings.data / "tmp", settings.scratch):
            folder.mkdir(parents=True, exist_ok=True)
        server = http.server.ThreadingHTTPServer(("0.0.0.0", settings.port), self._handler())  # noqa: S104 - the network decides who reaches it
        threading.Thread(target=server.serve_forever, daemon=True, name="web").start()
        state.take_back_the_future(settings.data, time.time())
        self._prepare()
        self._receiver.start()
        threading.Thread(target=self._push, daemon=True, name="wal-push").start()
        self._work()
        self._receiver.end()
        server.shutdown()

    def end(self) -> None:
        """Ends `run`. What is under way is given up: the next start goes on."""
        self._ending.set()

    def _prepare(self) -> None:
        while not self._ending.is_set():
            try:
                with self._jobs.turn(), state.alone(self._settings.data, state.WAL, wait_seconds=60):
                    self._jobs.restic.ensure()
                    self._jobs.restic.unlock()
                    self._jobs.count_on()
                    return
            except BackupError as error:
                log.line("ERROR", "the repository cannot be used", error=str(error))
                state.record(self._settings.data, "check", last_failure_timestamp_seconds=time.time(), error=str(error))
                self._ending.wait(15)

    def _push(self) -> None:
        pushed, pushed_at, mark_at = "", 0.0, time.monotonic() + _MARK_SECONDS
        while not self._ending.wait(_POLL_SECONDS):
            self._beats["push"] = time.monotonic()
            since = time.monotonic() - pushed_at
            # A second and a half of it goes into the push itself.
            if since < max(1.0, self._settings.wal_seconds - 5):
                continue
            try:
                lsn, _ = postgres.flushed(self._settings)
                if lsn == pushed and since < _IDLE_SECONDS:
                    continue
                if time.monotonic() > mark_at and wal.epoch(self._settings):
                    begun = time.monotonic()
                    self._jobs.mark()
                    # It reads every row: users must not feel it.
                    mark_at = time.monotonic() + max(_MARK_SECONDS, _MARK_PAUSES * (time.monotonic() - begun))
                if self._jobs.push()["set_back"]:
                    self._ambiguous = wal.epoch(self._settings)
                pushed, pushed_at = lsn, time.monotonic()
            except (BackupError, OSError) as error:
                log.line("WARNING", "WAL was not pushed", error=str(error))

    def _work(self) -> None:
        settings = self._settings
        timetable = Timetable(settings.jitter_seconds, random.Random())  # noqa: S311 - no secret
        timetable.add("backup", settings.schedule, self._backup_all)
        timetable.add("check", settings.check_schedule, lambda: self._jobs.check(DAILY_SHARE))
        if settings.offsite:
            timetable.add("offsite", settings.offsite_schedule, self._jobs.copy)
            timetable.add("check-offsite", settings.check_schedule, lambda: self._jobs.check_offsite(DAILY_SHARE))
            timetable.add("tidy-offsite", settings.schedule, self._jobs.tidy_offsite)
        timetable.add("drill", settings.drill_schedule, lambda: drill(self._jobs))
        while not self._ending.wait(_POLL_SECONDS):
            self._follow_the_clock()
            if self._lacks_base():
                self._safely(lambda: self._jobs.backup(POSTGRES, only_if=self._lacks_base))
                if self._lacks_base():
                    self._ending.wait(5)
                    continue
                self._safely(self._the_rest)
            for job in timetable.due(datetime.datetime.now(datetime.UTC)):
                self._safely(job)

    def _lacks_base(self) -> bool:
        return wal.epoch(self._settings) in (None, self._ambiguous)

    def _follow_the_clock(self) -> None:
        if _clock() < self._clock - _SET_BACK_SECONDS:
            log.line("WARNING", "the clock was set back", seconds=round(self._clock - _clock()))
            state.take_back_the_future(self._settings.data, time.time())
            self._started = min(self._started, time.time())
        self._clock = _clock()

    def _backup_all(self) -> None:
        self._safely(lambda: self._jobs.backup(POSTGRES))
        self._the_rest()

    def _the_rest(self) -> None:
        for what in ALL:
            if what != POSTGRES and (what != ALERTMANAGER or self._settings.alertmanager_urls):
                self._safely(functools.partial(self._jobs.backup, what))
        self._safely(self._jobs.tidy)

    def _safely(self, job: Callable[[], object]) -> None:
        try:
            job()
        except (BackupError, OSError) as error:  # recorded already: an alert tells
            log.line("ERROR", "a job failed", error=str(error))

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """`/metrics` and `/healthz`."""

            def do_GET(self) -> None:
                alive = time.monotonic() - service._beats["push"] < _STUCK_SECONDS or not service._receiver.is_alive()
                code, body = 404, "/metrics, /healthz\n"
                if self.path == "/metrics":
                    code, body = 200, metrics.text(service._settings.data, service._started)
                elif self.path == "/healthz":
                    code, body = (200, "ok\n") if alive else (503, "stuck\n")
                with contextlib.suppress(ConnectionError):  # the health check reads no further than the status
                    self.send_response(code)
                    self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                    self.end_headers()
                    self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: a scrape is no news."""

        return Handler


def _clock() -> float:
    # Stays the same for as long as nobody sets the clock.
    return time.time() - time.monotonic()
