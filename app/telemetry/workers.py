"""Metrics of several worker processes as one exposition.

prometheus-client's own multi-process mode loses exemplars and what gauges mean. So each worker offers its exposition on
a socket of its own, and whichever is scraped puts all of them together, each sample with the worker's number.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ANSWER_SECONDS = 0.5
READ_BYTES = 64 * 1024
# The name of a sample, its labels in braces if it has any, and the rest: value, exemplar.
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*?)\})?( .*)", re.DOTALL)
COMMENT = re.compile(r"# \S+ (\S+)")
END = "# EOF"

Expose = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Worker:
    """One of `count` processes behind the same port; `folder` is where they find each other, None for one alone."""

    index: int
    count: int
    folder: Path | None = None


@asynccontextmanager
async def offered(worker: Worker, expose: Expose) -> AsyncIterator[None]:
    """Offer this worker's exposition to the others, if there are any."""
    if worker.folder is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            accept = (await reader.readline()).decode("latin-1").strip()
            writer.write(expose(accept))
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, _socket(worker.folder, worker.index))
    try:
        yield
    finally:
        server.close()


async def gather(worker: Worker, expose: Expose, accept: str) -> bytes:
    """The exposition of all workers in the format that `accept` asks for; of this one alone, if it is alone."""
    if worker.folder is None:
        return expose(accept)
    answers = await asyncio.gather(
        *(
            _own(expose, accept) if index == worker.index else _ask(_socket(worker.folder, index), accept)
            for index in range(worker.count)
        ),
        return_exceptions=True,
    )
    return merge(
        {index: answer.decode(errors="replace") for index, answer in enumerate(answers) if isinstance(answer, bytes)}
    ).encode()


def merge(expositions: Mapping[int, str]) -> str:
    """One exposition: every family once, every sample with the label `worker`."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    ended = False
    for index, text in expositions.items():
        family = ""
        for line in text.split("\n"):
            if line == END:
                ended = True
            elif comment := COMMENT.match(line):
                family = comment[1]
                comments, _ = families.setdefault(family, ([], []))
                if line not in comments:
                    comments.append(line)
            elif line and (sample := SAMPLE.fullmatch(line)) is not None:
                name, labels, rest = sample.groups()
                own = f'worker="{index}"'
                families[family][1].append(f"{name}{{{own}{',' + labels if labels else ''}}}{rest}")
    lines = [line for comments, samples in families.values() for line in (*comments, *samples)]
    return "\n".join([*lines, *([END] if ended else [])]) + "\n"


async def _own(expose: Expose, accept: str) -> bytes:
    return expose(accept)


async def _ask(path: Path, accept: str) -> bytes:
    async with asyncio.timeout(ANSWER_SECONDS):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(accept.encode("latin-1", "replace") + b"\n")
            await writer.drain()
            parts = []
            while part := await reader.read(READ_BYTES):
                parts.append(part)
            whole_lines, newline, _ = b"".join(parts).rpartition(b"\n")
            # A worker that ended in the middle leaves half a line, whose number would be a wrong one.
            return whole_lines + newline
        finally:
            writer.close()


def _socket(folder: Path, index: int) -> Path:
    return folder / f"{index}.sock"
