"""Everything in Docker that carries a lab's label, complete or not; and its removal."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import docker

from ops.errors import HostError
from ops.lab import shell
from ops.lab.reference import FOLDER_LABEL, LABEL, Lab
from ops.stack import on_lab


@dataclasses.dataclass(frozen=True, kw_only=True)
class Remains:
    """Names in Docker, by kind. `folders` are those of the checkouts that made them."""

    containers: tuple[str, ...]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    folders: frozenset[str]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.containers) + len(self.volumes) + len(self.networks)


def find(api: docker.APIClient, lab: Lab) -> Remains:
    """What there is of the lab. Only looks."""
    ours = {"label": f"{LABEL}={lab.name}"}
    containers = api.containers(all=True, filters=ours)
    volumes = api.volumes(filters=ours).get("Volumes") or []
    networks = api.networks(filters=ours)
    labels = [item.get("Labels") or {} for item in (*containers, *volumes, *networks)]
    return Remains(
        containers=tuple(sorted(item["Names"][0].removeprefix("/") for item in containers)),
        volumes=tuple(sorted(item["Name"] for item in volumes)),
        networks=tuple(sorted(item["Id"] for item in networks)),
        folders=frozenset(found[FOLDER_LABEL] for found in labels if FOLDER_LABEL in found),
    )


def require_ours(lab: Lab, found: Remains) -> None:
    """Raises HostError where another checkout, which is still there, has a lab of that name on the same engine."""
    for folder in found.folders - {str(lab.folder)}:
        if Path(folder).is_dir():
            raise HostError(
                f"A lab called {lab.name!r} was made by another checkout ({folder}); "
                "take it down there, or give this one another name (--name)."
            )


def remove(api: docker.APIClient, lab: Lab, found: Remains) -> None:
    """Removes what was found, the lab's folder, and the stacks that were in the lab. All of it may be gone already."""
    shell.at_once(lambda name: _remove(api.remove_container, name, v=True, force=True), found.containers)
    for volume in found.volumes:
        _remove(api.remove_volume, volume)
    for network in found.networks:
        _remove(api.remove_network, network)
    for folder in on_lab.folders(lab.name, lab.local):
        shutil.rmtree(folder)
    if lab.folder.exists():
        shutil.rmtree(lab.folder)


def _remove(remove_it: Callable[..., None], name: str, **options: bool) -> None:
    with contextlib.suppress(docker.errors.NotFound):
        remove_it(name, **options)
