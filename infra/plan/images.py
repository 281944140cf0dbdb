"""Which images there are, what goes into each, and the digest of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from types import MappingProxyType

from infra import names
from infra.settings import OVERRIDABLE_IMAGES, StackSettings
from infra.spec import ImageSpec
from infra.version import VERSION

REPO = Path(__file__).resolve().parent.parent.parent
DIGEST_LENGTH = 16
_IGNORED_FOLDERS = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}

# Major versions of what keeps data: its files are read by newer ones, not by older ones. The images' builds use them,
# and the policies see them.
POSTGRES_MAJOR = "15"
_MAJORS = {
    names.POSTGRES: {"POSTGRES_MAJOR": POSTGRES_MAJOR},
    names.REDIS: {"REDIS_MAJOR": "7"},
    names.BACKUP: {"POSTGRES_MAJOR": POSTGRES_MAJOR},
}

# What makes a cluster of PostgreSQL or looks after one of Redis, and programs of this repository, with the images that
# they start from. What is in them is a part of how the stack works, so nobody else's images can take their place.
_OURS_ALONE = {
    names.ETCD: names.BASE_IMAGE,
    names.PATRONI: names.POSTGRES,
    names.CONTROLLER: names.BASE_IMAGE,
    names.BACKUP: names.BASE_IMAGE,
    names.DASHBOARDS: names.BASE_IMAGE,
}

# These images are built from their Dockerfile and the program itself, side by side.
_SOURCES = {
    names.APP: ("images/app", "app"),
    names.CONTROLLER: ("images/controller", "ops/controller"),
    names.BACKUP: ("images/backup", "infra/schedule.py", "ops/backup"),
    names.DASHBOARDS: ("images/dashboards", "ops/dashboards"),
}


def plan(settings: StackSettings, used: Collection[str]) -> tuple[ImageSpec, ...]:
    """The base first, then every image that starts from it and that a service uses."""
    base = _built(names.BASE_IMAGE, base=None)
    bases = {names.POSTGRES} if names.PATRONI in used else set()
    others = (
        ImageSpec(name=name, digest="", upstream=settings.images[name])
        if name in settings.images
        else _built(name, base=names.BASE_IMAGE)
        for name in sorted(OVERRIDABLE_IMAGES.intersection({*used, *bases}))
    )
    ours_alone = (_built(name, base=base) for name, base in sorted(_OURS_ALONE.items()) if name in used)
    return (base, *others, *ours_alone)


def build_files(image: str) -> Iterator[tuple[str, Path]]:
    """The files of an image's build context: path in the context, path on this machine; sorted."""
    for source in _SOURCES.get(image, (f"images/{image}",)):
        root = REPO / source
        inside = "" if source.startswith("images/") else f"{source}/"
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.is_file() and not _IGNORED_FOLDERS.intersection(path.parts) and path.suffix != ".pyc":
                yield source if path == root else inside + path.relative_to(root).as_posix(), path


def _built(name: str, base: str | None) -> ImageSpec:
    content = hashlib.sha256()
    for inside, path in build_files(name):
        executable = bool(path.stat().st_mode & 0o100)
        content.update(f"{inside}\0{executable}\0".encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    majors = _MAJORS.get(name, {})
    content.update(repr(sorted(majors.items())).encode())
    digest = content.hexdigest()[:DIGEST_LENGTH]
    return ImageSpec(
        name=name,
        digest=digest,
        base=base,
        # The revision is the content's: with git's, every commit would roll every service.
        build_args=MappingProxyType({"VERSION": VERSION, "REVISION": digest, **majors}),
    )
