"""One JSON object a line on stdout."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import UTC, datetime
from typing import Any


def line(level: str, message: str, **fields: Any) -> None:
    """Writes it at once. Dataclasses become objects, sets lists."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    entry = {"timestamp": now, "level": level, "logger": "controller", "message": message, **fields}
    sys.stdout.write(json.dumps(entry, default=plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """What `json` does not know."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    return str(value)
