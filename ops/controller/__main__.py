"""`python -m ops.controller`: runs until SIGTERM. Exits with 2 where the settings are wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from ops.controller import log
from ops.controller.controller import Controller
from ops.controller.settings import Settings, SettingsError
from ops.controller.web import serve


async def main(settings: Settings) -> None:
    """Looks, repairs and answers, until it is told to end."""
    controller = Controller(settings)
    server = await serve(controller, settings.port)
    looking = asyncio.create_task(controller.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, looking.cancel)
    log.line("INFO", "started", mode=settings.mode, servers=settings.servers, sentinels=settings.sentinels)
    try:
        await looking
    except asyncio.CancelledError:
        log.line("INFO", "ended")
    finally:
        server.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(Settings.from_environment(os.environ)))
    except SettingsError as error:
        log.line("ERROR", str(error))
        sys.exit(2)
