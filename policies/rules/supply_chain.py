"""What runs is what was reviewed: images of known origin, under names that cannot come to mean something else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from policies.model import Parameters, Rule, Severity
from policies.view import CONTAINER, IMAGE, SERVICE, View

IDENTITY: Final = ("dev.pidea.instance", "dev.pidea.component")
DOCKER_HUB, OFFICIAL, LATEST = "docker.io", "library", "latest"
_LOCAL_REGISTRY: Final = re.compile(r"^(127\.0\.0\.1|localhost):\d+/")
_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
_DIGEST: Final = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


def _image(resource: View) -> str:
    if resource.type == SERVICE:
        return resource.text("taskSpec", "containerSpec", "image")
    return resource.text("name" if resource.type == IMAGE else "image")


def _repository(reference: str) -> str:
    """Without tag and digest. A colon before the last slash is a port's."""
    name = reference.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]


def _tag(reference: str) -> str:
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _in_full(repository: str) -> str:
    """As Docker understands it: `redis` is `docker.io/library/redis`."""
    first, slash, _ = repository.partition("/")
    if not slash:
        return f"{DOCKER_HUB}/{OFFICIAL}/{repository}"
    has_registry = "." in first or ":" in first or first == "localhost"
    return repository if has_registry else f"{DOCKER_HUB}/{repository}"


def _is_from(reference: str, sources: Sequence[str]) -> bool:
    """Whether one of the sources is the image's repository or a folder above it.

    What a registry on this very machine holds was pushed from here: its address says nothing about the source.
    """
    written = _LOCAL_REGISTRY.sub("", _repository(reference))
    return any(
        f"{name}/".startswith(f"{source.rstrip('/')}/") for source in sources for name in (written, _in_full(written))
    )


def _pinned(resource: View, _: Parameters) -> Iterator[str]:
    image = _image(resource)
    if not (_ID.fullmatch(image) or _DIGEST.fullmatch(image)):
        yield f"runs the image {image!r}, a name that can come to mean another image"


def _allowed_sources(resource: View, parameters: Parameters) -> Iterator[str]:
    if resource.type == IMAGE and resource.has("build"):
        return
    image = _image(resource)
    # A bare id was built here, or pulled by a resource that is judged itself.
    if not _ID.fullmatch(image) and not _is_from(image, parameters.get("sources", ())):
        yield f"takes the image {image!r} from a source that is not on the list"


def _labelled(service: View, _: Parameters) -> Iterator[str]:
    for path, whose in ((("labels",), "it"), (("taskSpec", "containerSpec", "labels"), "its containers")):
        labels = service.labels(*path)
        for name in IDENTITY:
            if not labels.get(name):
                yield f"has no label {name} on {whose}"


def _no_mutable_tags(image: View, _: Parameters) -> Iterator[str]:
    if image.has("build"):
        return
    name = _image(image)
    if not _DIGEST.fullmatch(name) and _tag(name) in ("", LATEST):
        yield f"pulls the image {name!r}, whatever that is on the day"


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        id="images-pinned",
        title="Services run images by id or digest",
        severity=Severity.HIGH,
        description="A tag can be moved: two nodes, or an update and its rollback, would run different programs.",
        remediation="Refer to the image as sha256:<id>, or as <repository>@sha256:<digest>.",
        types=(SERVICE, CONTAINER),
        judge=_pinned,
    ),
    Rule(
        id="images-from-allowed-sources",
        title="Images come from known sources",
        severity=Severity.HIGH,
        description="An image is somebody else's program with our data. Whose, is on a list.",
        remediation="Build the image from images/, or add its source to the parameter `sources` after a review.",
        references=("CIS Docker 1.6: 4.2",),
        types=(SERVICE, CONTAINER, IMAGE),
        judge=_allowed_sources,
        parameters={
            "sources": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "description": "Repositories, and folders of repositories, that images may come from.",
            }
        },
    ),
    Rule(
        id="labelled",
        title="Services and their containers say whose they are",
        severity=Severity.MEDIUM,
        description="By these labels day-2 commands find what belongs to a stack, and rules which component it is.",
        remediation=f"Set the labels {' and '.join(IDENTITY)} on the service and in taskSpec.containerSpec.",
        types=(SERVICE,),
        judge=_labelled,
    ),
    Rule(
        id="no-mutable-tags",
        title="Images are pulled by version",
        severity=Severity.MEDIUM,
        description="Without a tag, or with `latest`, two deployments of one commit pull different images.",
        remediation="Give the image the tag of a version, or a digest.",
        types=(IMAGE,),
        judge=_no_mutable_tags,
    ),
)

# The repository's own images, and Docker's official ones.
