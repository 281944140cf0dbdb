"""What PromQL asks for."""

from __future__ import annotations

import re

from tests.alerts.rules import metrics_of


def metrics_read(query: str) -> set[str]:
    """Every exporter's metric in PromQL, whatever its name begins with."""
    text = re.sub(r"\b(?:by|on|group_left|group_right|ignoring|without)\s*\([^)]*\)", " ", query)
    text = re.sub(r"\b\w+:[\w:]+|\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", text)
    found = set(re.findall(r"\b[a-z]+_\w+\b(?!\s*\()", text))
    return found | set(metrics_of(query))
