"""Labels that say what of a machine is ours, and whose."""

from __future__ import annotations

from typing import Final

INSTANCE: Final = "dev.pidea.instance"
COMPONENT: Final = "dev.pidea.component"


def labels(instance: str, component: str) -> dict[str, str]:
    """The labels of every resource: the stack's instance, and the logical name."""
    return {INSTANCE: instance, COMPONENT: component}
