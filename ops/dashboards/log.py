"""One JSON object a line on stdout."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any


def line(level: str, message: str, **fields: Any) -> None:
    """Writes it at once."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    entry = {"timestamp": now, "level": level, "logger": "dashboards", "message": message, **fields}
    sys.stdout.write(json.dumps(entry, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()
