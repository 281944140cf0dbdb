"""The process: settings, logs, traces, services, then the HTTP server until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
import uvloop

from app.errors import MigrationError, SettingsError, StartupError
from app.main import create_app
from app.services import open_services
from app.settings import Settings
from app.supervisor import supervise
from app.telemetry import logs, tracing
from app.telemetry.metrics import expose
from app.telemetry.workers import Worker, offered
from app.web.drain import DrainingServer

log = logging.getLogger(__name__)

EXIT_NOT_STARTED = 1
EXIT_WRONG_SETTINGS = 2
# Together below the 10 s that the orchestrator gives beyond the drain.
FINISH_SECONDS = 6
TRACE_FLUSH_SECONDS = 1.5
# Longer than the edge keeps an idle connection, so that it is never us who close one that it is about to use.
KEEP_ALIVE_SECONDS = 75


def main(embedded_folder: Path | None = None) -> int:
    """Run until SIGTERM or SIGINT and return the exit code. With a folder: without PostgreSQL and Redis."""
    environment = dict(os.environ)
    if embedded_folder is not None:
        # A developer's machine: nobody else is to reach it, unless that is asked for.
        environment.setdefault("LISTEN_ADDRESS", "127.0.0.1")
    try:
        settings = Settings.from_environment(environment, embedded_folder)
    except SettingsError as error:
        logs.configure("INFO")
        for problem in error.problems:
            log.critical("wrong setting: %s", problem)
        return EXIT_WRONG_SETTINGS
    logs.configure(settings.log_level, service=tracing.SERVICE_NAME, version=settings.version)
    try:
        bound = _bind(settings.listen_address, settings.port)
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s", settings.listen_address, settings.port, error.strerror or error)
        return EXIT_NOT_STARTED
    with bound:
        count = settings.workers
        if count == 1:
            return _run(settings, bound, Worker(0, 1))
        with TemporaryDirectory(prefix="pidea-workers-") as folder:
            return supervise(count, lambda index: _run(settings, bound, Worker(index, count, Path(folder))))


def _bind(address: str, port: int) -> socket.socket:
    """Take the port now, so that a taken one is noticed at once; uvicorn listens when the services are open."""
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _run(settings: Settings, bound: socket.socket, worker: Worker) -> int:
    tracer_provider = tracing.configure(settings)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, bound, worker))
    except KeyboardInterrupt:
        return 0
    finally:
        tracing.shut_down(tracer_provider, TRACE_FLUSH_SECONDS)
        sys.stdout.flush()


async def _serve(settings: Settings, bound: socket.socket, worker: Worker) -> int:
    try:
        async with (
            open_services(settings, worker) as services,
            offered(worker, partial(expose, services.metrics)),
        ):
            config = uvicorn.Config(
                create_app(services, settings),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Only the edge can reach this port, and it sets X-Forwarded-For anew.
                forwarded_allow_ips="*",
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=FINISH_SECONDS,
            )
            await DrainingServer(config, services.drain, settings.drain_seconds).serve(sockets=[bound])
    except (StartupError, MigrationError) as error:
        log.critical("cannot start: %s", error)
        return EXIT_NOT_STARTED
    log.info("stopped")
    return 0
