"""Background checks of the dependencies, so that a health request never waits for one."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

Status = Literal["up", "degraded", "down", "disabled"]
HTTP_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """The last result; `detail` says what is wrong."""

    status: Status
    latency_milliseconds: float | None = None
    detail: str | None = None


class Probe:
    """Runs `check` every `interval_seconds` for as long as `run` is not cancelled. Raising means down."""

    def __init__(self, name: str, check: Callable[[], Awaitable[object]] | None, interval_seconds: float) -> None:
        self.name = name
        self._check = check
        self._interval_seconds = interval_seconds
        self.last = Check("disabled") if check is None else Check("down", detail="not checked yet")
        self._up_at = -math.inf

    async def run(self) -> None:
        """Check for ever; a disabled probe returns at once."""
        while self._check is not None:
            await self.once()
            await asyncio.sleep(self._interval_seconds)

    @property
    def missing_seconds(self) -> float:
        """Since when it is down: 0 while it is not, infinite where it never was up."""
        return time.monotonic() - self._up_at if self.last.status == "down" else 0.0

    async def once(self) -> None:
        """Check now and remember the result."""
        if self._check is None:
            return
        began = time.perf_counter()
        try:
            await self._check()
        except Exception as error:
            check = Check("down", detail=str(error) or type(error).__name__)
        else:
            self._up_at = time.monotonic()
            check = Check("up", latency_milliseconds=round((time.perf_counter() - began) * 1000, 3))
        if check.status != self.last.status:
            level = logging.INFO if check.status == "up" else logging.WARNING
            log.log(level, "%s is %s%s", self.name, check.status, f": {check.detail}" if check.detail else "")
        self.last = check


async def one_answers(urls: Sequence[str]) -> None:
    """Raise what the first of them raised, unless `http_get` succeeds on at least one; all are asked at once."""
    outcomes = await asyncio.gather(*(http_get(url) for url in urls), return_exceptions=True)
    if all(outcomes) and isinstance(failure := outcomes[0], BaseException):
        raise failure


async def http_get(url: str) -> None:
    """Raise OSError or TimeoutError unless a plain HTTP GET is answered with 2xx within 3 s.

    Hand-written, because an HTTP client library would cost every replica megabytes for one status line.
    """
    parts = urlsplit(url)
    path = parts.path or "/"
    async with asyncio.timeout(HTTP_TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
    fields = line.split()
    if len(fields) < 2 or not fields[1].startswith(b"2"):
        raise OSError(f"{url} answered {line.decode('latin-1').strip() or 'nothing'}")
