"""What is installed beside a program: Pulumi packages and Python distributions."""

import json
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def pulumi_packages(packages: Path) -> Iterator[dict[str, Any]]:
    """The `pulumi-plugin.json` of every Pulumi package in a site-packages folder that needs a resource plugin."""
    for path in sorted(packages.glob("*/pulumi-plugin.json")):
        described = json.loads(path.read_text())
        if described.get("resource"):
            yield described


def python_distributions(packages: Path, *, transitive: bool) -> Iterator[tuple[str, str]]:
    """Name and version of the distributions in a site-packages folder; without `transitive`, those none else needs."""
    found = {_normalized(d.metadata["Name"]): d for d in distributions(path=[str(packages)])}
    needed = {_required(text) for d in found.values() for text in d.requires or () if "extra ==" not in text}
    for name, distribution in sorted(found.items()):
        if transitive or name not in needed:
            yield name, distribution.version


def _required(requirement: str) -> str:
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), len(requirement))
    return _normalized(requirement[:end])


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
