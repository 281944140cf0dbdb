"""Which images there are, what goes into each, and the digest of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from infra import names, servers
from infra.settings import OVERRIDABLE_IMAGES, StackSettings
from infra.spec import DeploymentPlan, ImageSpec
from infra.version import VERSION

REPO = Path(__file__).resolve().parent.parent.parent
DIGEST_LENGTH = 16
_IGNORED_FOLDERS = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}

# The build argument with the packages that come in one exact version.
PINS = "PINS"
# Major versions of what keeps data: its files are read by newer ones, not by older ones. The images' builds use them,
# and the policies see them.
POSTGRES_MAJOR = servers.POSTGRES.default
# What an image with a server in another version than the default starts from: Debian with that version's packages.
_SERVERS_BASE = "images/servers-base"

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
    **{f"{name}-base": (_SERVERS_BASE,) for name in (names.POSTGRES, names.REDIS, names.BACKUP)},
}


def plan(settings: StackSettings, used: Collection[str]) -> tuple[ImageSpec, ...]:
    """The base first, then every image that starts from it and that a service uses."""
    base = _built(names.BASE_IMAGE, base=None)
    bases = {names.POSTGRES} if names.PATRONI in used else set()
    wanted = {*used, *bases}
    special = {name: spec for name, spec in _servers_bases(settings).items() if name in wanted}
    majors = _majors(settings)
    others = (
        ImageSpec(name=name, digest="", upstream=settings.images[name])
        if name in settings.images
        else _built(name, base=names.BASE_IMAGE, majors=majors.get(name), on=special.get(name))
        for name in sorted(OVERRIDABLE_IMAGES.intersection(wanted))
    )
    ours_alone = (
        _built(name, base=base, majors=majors.get(name), on=special.get(name))
        for name, base in sorted(_OURS_ALONE.items())
        if name in used
    )
    return (base, *special.values(), *others, *ours_alone)


def major_of(plan: DeploymentPlan, server: str) -> str | None:
    """The major version of PostgreSQL or Redis in our image of it; None in somebody else's image."""
    argument = {names.POSTGRES: servers.POSTGRES, names.REDIS: servers.REDIS}[server].build_argument
    return next((spec.build_args.get(argument) for spec in plan.images if spec.name == server), None)


def _majors(settings: StackSettings) -> Mapping[str, Mapping[str, str]]:
    postgres = {servers.POSTGRES.build_argument: servers.POSTGRES.major(settings.postgres.version)}
    redis = {servers.REDIS.build_argument: servers.REDIS.major(settings.redis.version)}
    return {names.POSTGRES: postgres, names.REDIS: redis, names.BACKUP: postgres}


def _servers_bases(settings: StackSettings) -> dict[str, ImageSpec]:
    """By the image that starts from it. Nothing for the defaults: what runs stays as it is."""
    found: dict[str, ImageSpec] = {}
    suites = set()
    for name, server, version in (
        (names.POSTGRES, servers.POSTGRES, settings.postgres.version),
        (names.REDIS, servers.REDIS, settings.redis.version),
    ):
        suites.add(server.suite(version))
        if version != server.default:
            found[name] = _servers_base(name, server.suite(version), server.pins(version))
    # It reads what both have written, so it has the newer release's programs; an exact version does not matter to it.
    if suites != {servers.SUITE}:
        (newer,) = suites - {servers.SUITE}
        found[names.BACKUP] = _servers_base(names.BACKUP, newer, "")
    return found


def _servers_base(name: str, suite: str, pins: str) -> ImageSpec:
    return _built(f"{name}-base", base=names.BASE_IMAGE, majors={"SUITE": suite, PINS: pins})


def build_files(image: str) -> Iterator[tuple[str, Path]]:
    """The files of an image's build context: path in the context, path on this machine; sorted."""
    for source in _SOURCES.get(image, (f"images/{image}",)):
        root = REPO / source
        inside = "" if source.startswith("images/") else f"{source}/"
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.is_file() and not _IGNORED_FOLDERS.intersection(path.parts) and path.suffix != ".pyc":
                yield source if path == root else inside + path.relative_to(root).as_posix(), path


def _built(
    name: str, base: str | None, majors: Mapping[str, str] | None = None, on: ImageSpec | None = None
) -> ImageSpec:
    content = hashlib.sha256()
    for inside, path in build_files(name):
        executable = bool(path.stat().st_mode & 0o100)
        content.update(f"{inside}\0{executable}\0".encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    majors = majors or {}
    content.update(repr(sorted(majors.items())).encode())
    if on is not None:
        # With the same files and arguments it has another version of the server in it.
        base = on.name
        content.update(on.digest.encode())
    digest = content.hexdigest()[:DIGEST_LENGTH]
    return ImageSpec(
        name=name,
        digest=digest,
        base=base,
        # The revision is the content's: with git's, every commit would roll every service.
        build_args=MappingProxyType({"VERSION": VERSION, "REVISION": digest, **majors}),
    )
