"""The images of a lab's own containers: built once on this machine's engine, named by what goes into them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import docker

from infra.plan.images import DIGEST_LENGTH, REPO, build_files
from ops.errors import HostError

NODE = "lab-node"
REGISTRY = "lab-registry"
_SHOWN_LINES = 15


def ensure(api: docker.APIClient, name: str, base: str) -> str:
    """The name of image `name`, built from `base` where the engine does not have it. Raises HostError."""
    tag = f"pidea/{name}:{digest(name, str(api.inspect_image(base)['Id']))}"  # type: ignore[no-untyped-call]
    try:
        api.inspect_image(tag)  # type: ignore[no-untyped-call]
    except docker.errors.ImageNotFound:
        _build(api, name, tag, base)
    return tag


def digest(name: str, base_id: str) -> str:
    """Changes with every file of the image, and with the image that it starts from."""
    content = hashlib.sha256(base_id.encode())
    for inside, path in build_files(name):
        content.update(f"{inside}\0{bool(path.stat().st_mode & 0o100)}\0".encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:DIGEST_LENGTH]


def _build(api: docker.APIClient, name: str, tag: str, base: str) -> None:
    said: list[str] = []
    messages = api.build(
        path=str(REPO / "images" / name),
        tag=tag,
        buildargs={"BASE": base},
        # The default bridge has no way out on machines where Docker does not manage the firewall.
        network_mode="host",
        rm=True,
        forcerm=True,
        decode=True,
    )
    for message in messages:
        if "error" in message:
            raise HostError(f"The image {tag} could not be built:\n{_last(said)}\n{message['error']}")
        said.append(str(message.get("stream", "")))


def _last(said: Sequence[str]) -> str:
    return "\n".join("".join(said).splitlines()[-_SHOWN_LINES:])
