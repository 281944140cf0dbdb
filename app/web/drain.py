"""Leaving without a failed request: say so, serve on until the edge has noticed, finish, go."""

from __future__ import annotations

import asyncio
import logging
import socket
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = logging.getLogger(__name__)


class Drain:
    """Whether this process is leaving. Readiness and `Connection: close` follow from it."""

    def __init__(self) -> None:
        self.started = False


class DrainingServer(uvicorn.Server):
    """On SIGTERM or SIGINT: drain for `drain_seconds`, then finish the requests in flight.

    A second signal skips the wait. Who waits in vain until the end gets no answer, instead of uvicorn's 500: the edge
    then asks another replica, and the user notices nothing.

    Uvicorn itself would raise the signal again after a graceful end, and the process would not exit with 0.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Signal handler: it may interrupt anything, so it only notes; `on_tick` does the rest (and logs)."""
        if self._drain.started:
            self.should_exit = True
        self._drain.started = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; True ends the main loop."""
        if self._drain.started:
            now = asyncio.get_running_loop().time()
            if self._drained_at is None:
                self._drained_at = now + self._drain_seconds
                log.info("asked to stop: draining for %g s", self._drain_seconds)
            if now >= self._drained_at:
                self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's, which takes back what is not done within its timeout."""
        limit_seconds = self.config.timeout_graceful_shutdown
        if limit_seconds is None:
            await super().shutdown(sockets)
            return
        giving_up = asyncio.get_running_loop().call_later(limit_seconds, self._hang_up)
        try:
            await super().shutdown(sockets)
        finally:
            giving_up.cancel()

    def _hang_up(self) -> None:
        connections = [item for item in self.server_state.connections if isinstance(item, HttpToolsProtocol)]
        unanswered = [item for item in connections if item.cycle and not item.cycle.response_started]
        log.warning("%d requests are left to other replicas", len(unanswered))
        for connection in unanswered:
            connection.transport.close()
