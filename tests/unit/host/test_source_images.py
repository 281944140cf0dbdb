"""The source images, made for real under names of the test's own."""

from __future__ import annotations

import contextlib
import io
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from ops.errors import HostError
from ops.host import debootstrap, engine, registry, sources
from ops.host.engine import Engine

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def running() -> Engine:
    found = engine.find()
    if found is None:
        pytest.skip("needs Docker")
    return found


@pytest.fixture
def name(running: Engine) -> Iterator[str]:
    tag = f"pidea-test/source:{uuid.uuid4().hex[:12]}"
    yield tag
    with contextlib.closing(running.client()) as client, contextlib.suppress(docker.errors.ImageNotFound):
        client.remove_image(tag, force=True)


@pytest.fixture
def small_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a tiny tar where the one that debootstrap makes is kept, and takes the registry away."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "_DEBIAN", "127.0.0.1:9/debian:none")
    wanted = debootstrap.cached_tarball()
    wanted.parent.mkdir(parents=True)
    with tarfile.open(wanted, "w") as tar:
        member = tarfile.TarInfo("etc/debian_version")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"12\n"))


def quiet(_what: str, _message: str) -> None:
    """Progress that nobody reads."""


def containers(running: Engine, image: str) -> list[str]:
    with contextlib.closing(running.client()) as client:
        return [each["Id"] for each in client.containers(all=True, filters={"ancestor": image})]


def test_the_base_image_is_made_once(running: Engine, name: str, small_debian: None) -> None:
    assert sources.find(running, name) is None
    made = sources.ensure_rootfs(running, quiet, name=name)
    assert made == sources.Source(name, "debootstrap bookworm", current=True)
    image = registry.inspect(running, name)
    assert image is not None
    assert image["Config"]["Labels"][sources.LABEL_RECIPE] == sources.RECIPE
    assert sources.read_file(running, name, "/etc/debian_version") == b"12\n"
    assert sources.read_file(running, name, "/usr/share/pidea/build-ca.pem") == sources.build_ca()

    assert sources.ensure_rootfs(running, quiet, name=name) == made
    again = registry.inspect(running, name)
    assert again is not None
    assert again["Id"] == image["Id"]


def test_an_older_recipe_is_made_again(
    running: Engine, name: str, small_debian: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources.ensure_rootfs(running, quiet, name=name)
    monkeypatch.setattr(sources, "RECIPE", "next")
    old = sources.find(running, name)
    assert old is not None
    assert not old.current
    assert sources.ensure_rootfs(running, quiet, name=name).current
    new = sources.find(running, name)
    assert new is not None
    assert new.current


def test_jaegers_image_holds_the_binary_alone(
    running: Engine, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_JAEGER_RELEASE", "127.0.0.1:9/jaeger:none")
    binary = tmp_path / "jaeger"
    binary.write_bytes(b"\x7fELF not really")
    made = sources.ensure_jaeger(running, quiet, lambda: binary, name=name)
    assert made.made_from == f"source {tmp_path.name}"
    assert sources.read_file(running, name, "/jaeger") == binary.read_bytes()

    def must_not_build() -> Path:
        raise AssertionError("built again")

    assert sources.ensure_jaeger(running, quiet, must_not_build, name=name) == made


def test_jaegers_release_is_taken_where_there_is_one(
    running: Engine, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "jaeger"
    binary.write_bytes(b"release")
    monkeypatch.setattr(sources, "_JAEGER_RELEASE", "127.0.0.1:9/jaeger:none")
    sources.ensure_jaeger(running, quiet, lambda: binary, name=name)
    # That image now plays the release that the engine has already.
    monkeypatch.setattr(sources, "_JAEGER_RELEASE", name)
    monkeypatch.setattr(sources, "_JAEGER_IN_RELEASE", "/jaeger")
    assert sources.jaeger_is_released(running)
    other = name + "-taken"
    try:
        made = sources.ensure_jaeger(running, quiet, lambda: tmp_path / "never", name=other)
        assert made.made_from == name
        assert sources.read_file(running, other, "/jaeger") == b"release"
    finally:
        with contextlib.closing(running.client()) as client:
            client.remove_image(other, force=True)
    assert containers(running, name) == []


def test_an_image_that_nobody_labelled_is_used_as_it_is(running: Engine, name: str, small_debian: None) -> None:
    tar = debootstrap.tarball(quiet)
    with contextlib.closing(running.client()) as client:
        client.import_image(src=str(tar), repository=name.split(":")[0], tag=name.split(":")[1])
    assert sources.ensure_rootfs(running, quiet, name=name) == sources.Source(name, "unknown", current=True)


def test_what_the_engine_refuses_is_one_sentence(running: Engine, small_debian: None) -> None:
    with pytest.raises(HostError, match=r"Docker could not make the image UPPER/case:x: .*then run this again"):
        sources.ensure_rootfs(running, quiet, name="UPPER/case:x", force=True)
