"""How often to try again: rarely enough that retries never multiply an overload."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

BASE_SECONDS = 0.02
MAX_ATTEMPTS = 3
# What may have been saved up in quiet times.
MAX_TOKENS = 10.0
# So that a service with hardly any traffic may retry at all.
MINIMUM_PER_SECOND = 1.0


class RetryBudget:
    """A token bucket: each call puts in `ratio` of a token, time puts in one a second, each retry takes one out."""

    def __init__(self, ratio: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ratio = ratio
        self._clock = clock
        self._tokens = MAX_TOKENS if ratio else 0.0
        self._filled_at = clock()

    def called(self) -> None:
        """A call was made that is not a retry."""
        if self._ratio:
            self._tokens = min(MAX_TOKENS, self._tokens + self._ratio)

    def take(self) -> bool:
        """Whether one more retry is within the budget; it is then counted."""
        if not self._ratio:
            return False
        now = self._clock()
        self._tokens = min(MAX_TOKENS, self._tokens + (now - self._filled_at) * MINIMUM_PER_SECOND)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def back_off_seconds(attempt: int) -> float:
    """How long to wait before attempt 2, 3, …: exponential, and anything between nothing and that ("full jitter")."""
    return random.uniform(0.0, BASE_SECONDS * 2.0 ** (attempt - 2))  # noqa: S311 - not a secret
