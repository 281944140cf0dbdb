"""Users who write and read without a pause while something is done to the stack."""

from __future__ import annotations

import threading
import time
import uuid
from types import TracebackType
from typing import Self

import requests

from tests.stack.endpoints import Endpoints

_PAUSE_SECONDS = 0.05


class Traffic:
    """A user in the background: writes a message, reads the chat, notes every request that failed."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.requests = 0
        self.failures: list[str] = []
        self._endpoints = endpoints
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        while not self._over.is_set():
            written = [f"message {number}" for number in range(5)]
            try:
                self.requests += 1
                url = self._endpoints.messages()
                for content in written:
                    self.requests += 1
                    # As whoever cannot have a write lost or doubled: without a key, one that a server left in the
                    # middle of its commit is answered 503, since nobody knows what became of it.
                    self._endpoints.write(url, content, **{"Idempotency-Key": str(uuid.uuid4())})
                self.requests += 1
                if (read := self._endpoints.contents(url)) != written:
                    self.failures.append(f"read {read} after writing {written}")
            except requests.RequestException as error:
                self.failures.append(f"{time.strftime('%X')} {error}")
            time.sleep(_PAUSE_SECONDS)
