"""The process: settings, logs, traces, services, then the HTTP server until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import uvicorn
import uvloop

from app.errors import MigrationError, SettingsError, StartupError
from app.main import create_app
from app.services import open_services
from app.settings import Settings
from app.telemetry import logs, tracing
from app.web.drain import DrainingServer

log = logging.getLogger(__name__)

EXIT_NOT_STARTED = 1
EXIT_WRONG_SETTINGS = 2
# Together below the 10 s that the orchestrator gives beyond the drain.
FINISH_SECONDS = 6
TRACE_FLUSH_SECONDS = 1.5
# Longer than the edge keeps an idle connection, so that it is never us who close one that it is about to use.
KEEP_ALIVE_SECONDS = 75


def main() -> int:
    """Run until SIGTERM or SIGINT and return the exit code."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        logs.configure("INFO")
        for problem in error.problems:
            log.critical("wrong setting: %s", problem)
        return EXIT_WRONG_SETTINGS
    logs.configure(settings.log_level, service=tracing.SERVICE_NAME, version=settings.version)
    tracer_provider = tracing.configure(settings)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings))
    except KeyboardInterrupt:
        return 0
    finally:
        tracing.shut_down(tracer_provider, TRACE_FLUSH_SECONDS)
        sys.stdout.flush()


async def _serve(settings: Settings) -> int:
    try:
        async with open_services(settings) as services:
            config = uvicorn.Config(
                create_app(services, settings.version),
                host=settings.listen_address,
                port=settings.port,
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
            await DrainingServer(config, services.drain, settings.drain_seconds).serve()
    except (StartupError, MigrationError) as error:
        log.critical("cannot start: %s", error)
        return EXIT_NOT_STARTED
    log.info("stopped")
    return 0
