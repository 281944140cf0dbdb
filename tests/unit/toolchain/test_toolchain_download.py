"""A download is installed only if it is what its publisher listed."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from ops.toolchain.download import install
from ops.toolchain.errors import ChecksumError, ToolchainError, UnavailableError
from ops.toolchain.release import Release
from tests.unit.toolchain.conftest import Site

ARCHIVE, SUMS = "/v1/tool.tar.gz", "/v1/SUMS"


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"folder/{name}")
            member.size = len(content)
            member.mode = 0o755 if content.startswith(b"#!") else 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def listing(content: bytes, algorithm: str = "sha256", name: str = "tool.tar.gz") -> bytes:
    other = hashlib.sha256(b"other").hexdigest()
    return f"{other}  other.tar.gz\n{hashlib.new(algorithm, content).hexdigest()}  {name}\n".encode()


@pytest.fixture
def release(site: Site) -> Release:
    content = archive(tool=b"#!/bin/sh\n", README=b"text")
    site.files = {ARCHIVE: content, SUMS: listing(content)}
    return Release(site.url + ARCHIVE, site.url + SUMS)


def check() -> None:
    """Nothing stops it."""


def test_installs_the_archives_files(release: Release, folder: Path) -> None:
    install(release, folder, check=check)
    found = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert found == {"tool": 0o755, "README": 0o644}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, machine: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    return made


def test_sha512_lists_are_understood(release: Release, site: Site, folder: Path) -> None:
    site.files[SUMS] = listing(site.files[ARCHIVE], "sha512")
    install(release, folder, check=check)
    assert (folder / "tool").exists()


def test_another_file_is_refused_and_not_kept(release: Release, site: Site, folder: Path) -> None:
    site.files[ARCHIVE] = archive(tool=b"#!/bin/evil\n")
    with pytest.raises(ChecksumError, match=r"is not the file that .*/v1/SUMS lists"):
        install(release, folder, check=check)
    assert list(folder.iterdir()) == []


def test_a_list_without_the_file_is_refused(release: Release, site: Site, folder: Path) -> None:
    site.files[SUMS] = listing(b"", name="another.tar.gz")
    with pytest.raises(ChecksumError, match=r"lists no checksum for tool\.tar\.gz"):
        install(release, folder, check=check)


def test_a_page_in_place_of_the_list_means_unavailable(release: Release, site: Site, folder: Path) -> None:
    site.files[SUMS] = b"<html>Please log in to the guest network</html>"
    with pytest.raises(UnavailableError, match="did not answer with a list of checksums"):
        install(release, folder, check=check)


@pytest.mark.parametrize("missing", [ARCHIVE, SUMS])
def test_a_missing_file_means_unavailable(release: Release, site: Site, folder: Path, missing: str) -> None:
    del site.files[missing]
    with pytest.raises(UnavailableError, match="cannot be downloaded"):
        install(release, folder, check=check)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("path", [ARCHIVE, SUMS])
def test_a_broken_connection_means_unavailable(release: Release, site: Site, folder: Path, path: str) -> None:
    site.broken = {path}
    with pytest.raises(UnavailableError):
        install(release, folder, check=check)
    assert list(folder.iterdir()) == []


def test_a_closed_port_means_unavailable(closed_url: str, folder: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be downloaded"):
        install(Release(closed_url + ARCHIVE, closed_url + SUMS), folder, check=check)


def test_an_interrupt_stops_it_between_chunks(release: Release, folder: Path) -> None:
    def interrupted() -> None:
        raise ToolchainError("interrupted")

    with pytest.raises(ToolchainError, match="interrupted"):
        install(release, folder, check=interrupted)
    assert list(folder.iterdir()) == []


def test_no_member_is_written_outside_of_the_folder(site: Site, folder: Path) -> None:
    content = archive(**{"../../../escaped": b"text", "../tool": b"text"})
    site.files = {ARCHIVE: content, SUMS: listing(content)}
    install(Release(site.url + ARCHIVE, site.url + SUMS), folder, check=check)
    assert {path.name for path in folder.iterdir()} == {"escaped", "tool"}
