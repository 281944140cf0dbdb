"""Where things are: the checkout, its ignored `.pidea/`, and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
# Resolved: in the sources of an earlier deployment it points to the checkout's own.
LOCAL = (REPO / ".pidea").resolve()


def cache() -> Path:
    """The folder for what is expensive to make again; safe to delete at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pidea"
