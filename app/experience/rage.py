"""Finds users who press the same button again and again because it does not do what it should."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from app.context import client_id
from app.events import Event, Listener, RageRetried, RequestFinished

REPEATS = 4
WINDOW_SECONDS = 3.0
SLOW_SECONDS = 1.0
# Too Many Requests and all after it: the service did not do its part, or the user did not wait for it.
FIRST_BAD_STATUS = 429
MAX_BURSTS = 10_000

# Caller, client id, network address, method, path.
Key = tuple[str, str, str, str, str]


@dataclass(slots=True)
class _Burst:
    bad_starts: deque[float] = field(default_factory=lambda: deque(maxlen=REPEATS - 1))
    reported: bool = False


class RageDetector:
    """Emits RageRetried once per burst: a client's fourth identical request within 3 s, after three bad answers.

    A bad answer is an error or one that took longer than 1 s; a good one ends the burst, as do 3 s without a request.
    Must hear RequestFinished in the request's own context, where the client's id is. Only what was answered badly takes
    memory, at most MAX_BURSTS entries.
    """

    def __init__(self, emit: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._clock = clock
        self._bursts: OrderedDict[Key, _Burst] = OrderedDict()

    def on_event(self, event: Event) -> None:
        """Count a finished request."""
        if not isinstance(event, RequestFinished) or not event.is_user_traffic:
            return
        bad = event.status >= FIRST_BAD_STATUS or event.duration_seconds > SLOW_SECONDS
        if not bad and not self._bursts:
            return
        key = (event.caller, client_id(), event.client, event.method, event.path)
        burst = self._bursts.get(key)
        if burst is None:
            if not bad:
                return
            burst = self._bursts[key] = _Burst()
            if len(self._bursts) > MAX_BURSTS:
                self._bursts.popitem(last=False)
        started = self._clock() - event.duration_seconds
        self._count(burst, started)
        if bad:
            burst.bad_starts.append(started)
            self._bursts.move_to_end(key)
        else:
            del self._bursts[key]

    def _count(self, burst: _Burst, started: float) -> None:
        starts = burst.bad_starts
        while starts and starts[0] < started - WINDOW_SECONDS:
            starts.popleft()
        if not starts:
            burst.reported = False
        elif len(starts) == REPEATS - 1 and not burst.reported:
            burst.reported = True
            self._emit(RageRetried())
