"""Hears of the writes of other replicas.

A message is sent after the writer's commit and after the new version is in Redis, so who hears it and looks again
finds the new state. Messages are not kept for who is not connected: after every gap in the connection `on_gap` is
called, because something may have been missed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis

from app.cache.redis_tier import PERHAPS, channel
from app.events import CacheInvalidated, Listener
from app.storage.redis import FAILURES

log = logging.getLogger(__name__)

# A connection that is half dead (a power cut, a firewall that forgot it) says nothing: ask it.
QUIET_SECONDS = 1.0
ANSWER_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.1
LAST_PAUSE_SECONDS = 2.0


class Invalidations:
    """Calls `on_group` for every group that another replica invalidated, and whether that was only perhaps needed;
    `on_gap` when some may have been missed."""

    def __init__(
        self,
        redis: Redis,
        emit: Listener,
        *,
        sender: str,
        namespace: str,
        on_group: Callable[[str, bool], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._redis: Any = redis
        self._emit = emit
        self._sender = sender
        self._channel = channel(namespace)
        self._on_group = on_group
        self._on_gap = on_gap
        self.connected = False

    async def run(self) -> None:
        """Listen for ever, through every loss of the connection."""
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._listen()
            except FAILURES as error:
                if self.connected:
                    log.warning("invalidation messages are interrupted: %s", error or type(error).__name__)
                    pause_seconds = FIRST_PAUSE_SECONDS
            finally:
                if self.connected:
                    self.connected = False
                    self._on_gap()
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause_seconds = min(2 * pause_seconds, LAST_PAUSE_SECONDS)

    async def _listen(self) -> None:
        pubsub = self._redis.pubsub()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await pubsub.subscribe(self._channel)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=ANSWER_SECONDS if asked else QUIET_SECONDS)
                if message is None:
                    if asked:
                        raise TimeoutError("the connection does not answer")
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await pubsub.ping()
                    asked = True
                    continue
                asked = False
                if message["type"] == "subscribe":
                    # From here on nothing is missed; what came before may have been.
                    self._on_gap()
                    self.connected = True
                elif message["type"] == "message":
                    self._hear(message["data"])
        finally:
            with suppress(*FAILURES):
                await asyncio.wait_for(pubsub.aclose(), 1.0)

    def _hear(self, data: bytes) -> None:
        sender, _, group = data.decode("utf-8", "replace").partition(" ")
        perhaps = sender.endswith(PERHAPS)
        # What this replica wrote itself it has dropped already.
        if group and sender.removesuffix(PERHAPS) != self._sender:
            self._on_group(group, perhaps)
            self._emit(CacheInvalidated(remote=True))
