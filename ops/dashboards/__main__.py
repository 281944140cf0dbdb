"""`python -m ops.dashboards`: runs until SIGTERM. Exits with 2 where the settings or a dashboard are wrong."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import waitress

from ops.dashboards import definitions, log
from ops.dashboards.errors import ViewerError
from ops.dashboards.settings import Settings
from ops.dashboards.web import make

# A page keeps one while Prometheus answers; scrapes and health checks need one too.
_THREADS = 6


def main() -> int:
    """Answers until it is told to end."""
    try:
        settings = Settings.from_environment(os.environ)
        pages = definitions.load(settings.folder)
    except ViewerError as error:
        log.line("ERROR", str(error))
        return 2
    signal.signal(signal.SIGTERM, _end)
    log.line("INFO", "started", dashboards=list(pages), port=settings.port)
    # The network decides who can reach it. Ends with the exception that the signal raises.
    waitress.serve(make(settings, pages), host="0.0.0.0", port=settings.port, threads=_THREADS, ident="", _quiet=True)  # noqa: S104
    log.line("INFO", "ended")
    return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
