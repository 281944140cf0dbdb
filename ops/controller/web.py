"""`/metrics`, `/healthz` and `/state` over HTTP/1.0: three pages for Prometheus, the health check and an operator."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from http import HTTPStatus

from prometheus_client import generate_latest

from ops.controller import log
from ops.controller.controller import Controller

_REQUEST_SECONDS = 5.0
_MOST_BYTES = 8192


async def serve(controller: Controller, port: int) -> asyncio.Server:
    """Starts to listen. Raises OSError where the port is taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(controller, head))
                await writer.drain()
        writer.close()

    # The network decides who can reach it.
    return await asyncio.start_server(answer, host="0.0.0.0", port=port, limit=_MOST_BYTES)  # noqa: S104


def _response(controller: Controller, head: bytes) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
    status, kind, body = HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /healthz, /state\n"
    if method not in (b"GET", b"HEAD"):
        status, body = HTTPStatus.METHOD_NOT_ALLOWED, b"GET\n"
    elif path == b"/metrics":
        status, kind, body = HTTPStatus.OK, "text/plain; version=0.0.4", generate_latest(controller.metrics.registry)
    elif path == b"/healthz":
        well = controller.is_well
        status, body = (HTTPStatus.OK, b"ok\n") if well else (HTTPStatus.SERVICE_UNAVAILABLE, b"no look for too long\n")
    elif path == b"/state":
        status, kind = HTTPStatus.OK, "application/json"
        body = json.dumps(controller.state, default=log.plain, indent=2).encode() + b"\n"
    start = f"HTTP/1.0 {status.value} {status.phrase}\r\nContent-Type: {kind}; charset=utf-8\r\n"
    head_bytes = f"{start}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    return head_bytes if method == b"HEAD" else head_bytes + body
