"""Downloading an official release, and checking it against the list that its publisher keeps beside it."""

import hashlib
import re
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import requests

from ops.toolchain.errors import ChecksumError, UnavailableError
from ops.toolchain.release import Release

# A machine behind a firewall that drops packets must get on to the next way soon.
_CONNECT_TIMEOUT_SECONDS = 4.0
_READ_TIMEOUT_SECONDS = 20.0
_CHUNK_BYTES = 1 << 20
_CHECKSUM_LINE = re.compile(r"^([0-9a-f]{64}|[0-9a-f]{128}) [ *](\S+)$", re.MULTILINE)
_ALGORITHMS = {64: "sha256", 128: "sha512"}


def install(release: Release, into: Path, *, check: Callable[[], None]) -> None:
    """Put the archive's files into the folder `into`, without the archive's own folders.

    `check` is called between chunks, and may raise to stop. Raises UnavailableError where a host cannot be reached or
    does not have the file, ChecksumError where the archive differs from the published one.
    """
    expected = _listed(_text(release.checksums_url), release)
    archive = into / f".{release.archive_name}"
    try:
        actual = _fetch(release.archive_url, archive, _ALGORITHMS[len(expected)], check)
        if actual != expected:
            raise ChecksumError(
                f"{release.archive_url} is not the file that {release.checksums_url} lists (its digest is {actual}). "
                "Nothing of it was kept. Try again; if it happens again, tell whoever runs your network or proxy."
            )
        _unpack(archive, into)
    finally:
        archive.unlink(missing_ok=True)


def _listed(checksums: str, release: Release) -> str:
    listed = {name: value for value, name in _CHECKSUM_LINE.findall(checksums)}
    if not listed:
        # What a captive portal or a filtering proxy answers: a page, with status 200.
        raise UnavailableError(f"{release.checksums_url} did not answer with a list of checksums.")
    if release.archive_name not in listed:
        raise ChecksumError(f"{release.checksums_url} lists no checksum for {release.archive_name}.")
    return str(listed[release.archive_name])


def _get(url: str) -> requests.Response:
    try:
        response = requests.get(url, stream=True, timeout=(_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS))
        response.raise_for_status()
    except requests.RequestException as error:
        raise UnavailableError(f"{url} cannot be downloaded ({type(error).__name__}).") from error
    return response


def _text(url: str) -> str:
    with _get(url) as response:
        try:
            return response.text
        except requests.RequestException as error:
            raise UnavailableError(f"{url} broke off ({type(error).__name__}).") from error


def _fetch(url: str, to: Path, algorithm: str, check: Callable[[], None]) -> str:
    total = hashlib.new(algorithm)
    with _get(url) as response, to.open("wb") as file:
        try:
            for chunk in response.iter_content(_CHUNK_BYTES):
                check()
                total.update(chunk)
                file.write(chunk)
        except requests.RequestException as error:
            raise UnavailableError(f"{url} broke off ({type(error).__name__}).") from error
    return total.hexdigest()


def _unpack(archive: Path, into: Path) -> None:
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if not member.isfile():
                continue
            content = tar.extractfile(member)
            assert content is not None  # noqa: S101 isfile() was true
            # The last part of the name only: no member can be written outside of the folder.
            file = into / PurePosixPath(member.name).name
            file.write_bytes(content.read())
            file.chmod(0o755 if member.mode & 0o111 else 0o644)
