"""What is told: one JSON object a line on standard output, which the engine keeps."""

from __future__ import annotations

import json
import sys
from typing import Any


def tell(kind: str, **fields: Any) -> None:
    """One line, at once: the node may be gone the next moment."""
    sys.stdout.write(json.dumps({"kind": kind, **fields}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def reason(error: BaseException) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:120]
