"""The base image is made from the mirror that this machine's own apt uses."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from ops.host.debootstrap import Mirrors, pick_mirrors
from ops.host.sources import build_ca

MAIN, SECURITY = "http://mirror.example/linux/", "http://mirror.example/fixes/"


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([], Mirrors("", "")),
        ([["http://other.example/", "Other", "Other"]], Mirrors("", "")),
        (
            [[SECURITY, "Debian", "Debian-Security"], ["http://x/", "X", ""], [MAIN, "Debian", "Debian"]],
            Mirrors(MAIN, SECURITY),
        ),
        ([["http://a.example/debian", "", ""]], Mirrors("http://a.example/debian", "")),
        (
            [["http://a.example/debian-security/", "", ""], ["http://a.example/debian/", "", ""]],
            Mirrors("http://a.example/debian/", "http://a.example/debian-security/"),
        ),
        ([["http://a.example/ubuntu/", "Ubuntu", "Ubuntu"]], Mirrors("", "")),
    ],
)
def test_mirrors(targets: list[list[str]], expected: Mirrors) -> None:
    assert pick_mirrors(targets) == expected


def test_the_users_ca_bundle_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_bytes(b"of the user")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert build_ca() == b"of the user"


def test_without_one_it_is_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=build_ca().decode())
    assert context.cert_store_stats()["x509_ca"] > 0
