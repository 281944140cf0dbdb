"""The two local images that every Dockerfile of the stack starts from, pulled where that works, else made here."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import ssl
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import certifi
import docker
import requests

from ops.errors import HostError
from ops.host import debootstrap, registry
from ops.host.engine import Engine

Progress = Callable[[str, str], None]

ROOTFS: Final = "pidea/rootfs:bookworm"
JAEGER: Final = "pidea/jaeger:dist"
# Raise it to have the images made again everywhere.
RECIPE: Final = "1"
LABEL_RECIPE: Final = "dev.pidea.source.recipe"
LABEL_MADE_FROM: Final = "dev.pidea.source.made-from"
LABEL_DIGEST: Final = "dev.pidea.source.digest"

_DEBIAN = "debian:bookworm-slim"
_JAEGER_RELEASE = "jaegertracing/jaeger:2.13.0"
_JAEGER_IN_RELEASE = "/cmd/jaeger/jaeger-linux"
_BUILD_CA = "build-ca.pem"
_IMPORT_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Source:
    """A source image as the engine has it. `made_from` is "unknown" for one that somebody put there by hand."""

    name: str
    made_from: str
    current: bool


def find(engine: Engine, name: str) -> Source | None:
    """The image `name`, None where the engine has none. One that is not ours is used as it is."""
    image = registry.inspect(engine, name)
    if image is None:
        return None
    labels = image["Config"].get("Labels") or {}
    recipe = labels.get(LABEL_RECIPE)
    return Source(name, labels.get(LABEL_MADE_FROM, "unknown"), recipe in (None, RECIPE))


def ensure_rootfs(engine: Engine, progress: Progress, *, name: str = ROOTFS, force: bool = False) -> Source:
    """Debian with this machine's CA bundle beside it, at /usr/share/pidea/build-ca.pem.

    Nothing in the image trusts that bundle by itself; the builder stages that fetch packages name it.
    """
    if not force and (found := find(engine, name)) and found.current:
        return found
    with _failures(name):
        if base := registry.pull(engine, _DEBIAN, progress):
            return _with_build_ca(engine, base, _DEBIAN, name)
        tar = debootstrap.tarball(progress)
        progress("base image", "importing")
        base = _import(engine, tar)
        try:
            return _with_build_ca(engine, base, f"debootstrap {debootstrap.SUITE}", name)
        finally:
            _forget(engine, base)


def ensure_jaeger(
    engine: Engine, progress: Progress, build: Callable[[], Path], *, name: str = JAEGER, force: bool = False
) -> Source:
    """An image whose only file is /jaeger: the release's binary, else the one that `build` returns."""
    if not force and (found := find(engine, name)) and found.current:
        return found
    with _failures(name):
        if release := registry.pull(engine, _JAEGER_RELEASE, progress):
            made_from, binary = _JAEGER_RELEASE, read_file(engine, release, _JAEGER_IN_RELEASE)
        else:
            built = build()
            made_from, binary = f"source {built.parent.name}", built.read_bytes()
        labels = _labels(made_from, hashlib.sha256(binary).hexdigest())
        changes = [f'LABEL {key}="{value}"' for key, value in labels.items()]
        with tempfile.NamedTemporaryFile(suffix=".tar") as tar:
            _write_tar(tar, {"jaeger": binary}, mode=0o755)
            tar.flush()
            _import(engine, Path(tar.name), name, changes)
    return Source(name, made_from, current=True)


def jaeger_is_released(engine: Engine) -> bool:
    """Whether Jaeger's release image can be had, so that nothing has to be built."""
    return registry.inspect(engine, _JAEGER_RELEASE) is not None or registry.offers(engine, _JAEGER_RELEASE)


def build_ca() -> bytes:
    """The certificates that this machine trusts, in PEM: SSL_CERT_FILE, else the system's, else Mozilla's."""
    candidates = [os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().openssl_cafile]
    candidates += ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", certifi.where()]
    return next(Path(path).read_bytes() for path in candidates if path and Path(path).is_file())


def _with_build_ca(engine: Engine, base: str, made_from: str, name: str) -> Source:
    labels = _labels(made_from, base.removeprefix("sha256:"))
    dockerfile = f"FROM {base}\nCOPY {_BUILD_CA} /usr/share/pidea/{_BUILD_CA}\n"
    context = io.BytesIO()
    _write_tar(context, {"Dockerfile": dockerfile.encode(), _BUILD_CA: build_ca()}, mode=0o644)
    context.seek(0)
    with contextlib.closing(engine.client(_IMPORT_TIMEOUT_SECONDS)) as client:
        built = client.build(
            fileobj=context, custom_context=True, tag=name, labels=labels, rm=True, forcerm=True, decode=True
        )
        for message in built:
            if "error" in message:
                raise docker.errors.DockerException(message["error"])
    return Source(name, made_from, current=True)


def _labels(made_from: str, digest: str) -> dict[str, str]:
    return {LABEL_RECIPE: RECIPE, LABEL_MADE_FROM: made_from, LABEL_DIGEST: digest}


def _import(engine: Engine, tar: Path, name: str = "", changes: list[str] | None = None) -> str:
    """Makes an image of one layer from a tar; returns its id."""
    repository, _, tag = name.rpartition(":")
    with contextlib.closing(engine.client(_IMPORT_TIMEOUT_SECONDS)) as client:
        answer = client.import_image(src=str(tar), repository=repository or None, tag=tag or None, changes=changes)
    for line in str(answer).splitlines():
        if '"error"' in line:
            raise docker.errors.DockerException(line)
    return str(answer).rpartition('"status":"')[2].partition('"')[0]


def read_file(engine: Engine, image: str, path: str) -> bytes:
    """One file out of an image, without running anything of it."""
    with contextlib.closing(engine.client(_IMPORT_TIMEOUT_SECONDS)) as client:
        container = client.create_container(image, command=["none"])["Id"]
        try:
            stream, _ = client.get_archive(container, path)
            with tempfile.TemporaryFile() as spooled:
                for chunk in stream:
                    spooled.write(chunk)
                spooled.seek(0)
                with tarfile.open(fileobj=spooled) as archive:
                    member = archive.extractfile(Path(path).name)
                    if member is None:
                        raise HostError(f"{image} holds no file {path}. Report this; the image has changed.")
                    return member.read()
        finally:
            client.remove_container(container, force=True)


def _forget(engine: Engine, image: str) -> None:
    """Removes a name-less image that nothing was built on after all; the engine keeps one that something was."""
    with contextlib.closing(engine.client()) as client, contextlib.suppress(docker.errors.APIError):
        client.remove_image(image)


def _write_tar(target: IO[bytes], files: dict[str, bytes], *, mode: int) -> None:
    """Times and owners are all zero, so that the same content makes the same image."""
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))


@contextlib.contextmanager
def _failures(name: str) -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise HostError(
            f"Docker could not make the image {name}: {said}. Look at Docker's log and disk, then run this again."
        ) from error
