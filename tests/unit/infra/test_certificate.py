"""What the edge's certificate is refused for, and that nothing secret of it leaves the secret."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from infra import certificate, credentials, outputs
from infra.errors import SettingsError
from infra.settings import StackSettings
from ops.stack.authority import Authority, make_authority, self_signed
from tests.unit.infra import recording
from tests.unit.infra.conftest import read_config

KEY = recording.CERTIFICATE_KEY
NOW = datetime.datetime.now(datetime.UTC)
SECRET = "docker:index/secret:Secret"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority("lab")


@pytest.fixture(scope="module")
def pem(authority: Authority) -> str:
    return self_signed(authority, ["localhost", "pidea.test"], ["127.0.0.1", "::1"])


def refused(pem: str, now: datetime.datetime = NOW) -> str:
    with pytest.raises(SettingsError) as caught:
        certificate.read(pem, KEY, now)
    return str(caught.value)


def with_key(pem: str, key: str) -> str:
    server, issuer, _ = split(pem)
    return server + issuer + key


def split(pem: str) -> tuple[str, str, str]:
    """The server's certificate, the authority's, the server's key."""
    end = "-----END CERTIFICATE-----\n"
    server, issuer, key = pem.split(end)
    return server + end, issuer + end, key


def test_one_of_our_own_is_fine(pem: str, authority: Authority) -> None:
    found = certificate.read(pem, KEY, NOW)
    assert found.hosts == ("localhost", "pidea.test", "127.0.0.1", "::1")
    assert found.not_before < NOW < found.not_after
    assert 89 <= (found.not_after - NOW).days <= 90
    assert found.chain == "".join(split(pem)[:2])
    assert authority.certificate in found.chain


def test_what_is_known_of_it_holds_no_key(pem: str) -> None:
    found = certificate.read(pem, KEY, NOW)
    assert "PRIVATE" not in repr(found)
    assert found.digest == hashlib.sha256(found.chain.encode()).hexdigest()[:12]


def test_the_authoritys_key_is_not_shown(authority: Authority) -> None:
    assert "PRIVATE" not in repr(authority)


def test_another_certificate_has_another_digest(authority: Authority) -> None:
    one, other = (certificate.read(self_signed(authority, ["localhost"], []), KEY, NOW) for _ in range(2))
    assert one.digest != other.digest


@pytest.mark.parametrize("text", ["", "secret", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    assert refused(text) == f"{KEY}: must hold a certificate in PEM form, and its private key"


def test_one_that_ended_is_refused(pem: str) -> None:
    assert "ended on" in refused(pem, NOW + datetime.timedelta(days=90))


def test_one_that_has_not_begun_is_refused(pem: str) -> None:
    assert "begins on" in refused(pem, NOW - datetime.timedelta(hours=2))


def test_it_may_be_used_until_its_last_moment(pem: str) -> None:
    end = certificate.read(pem, KEY, NOW).not_after
    assert certificate.read(pem, KEY, end).hosts
    assert "ended on" in refused(pem, end + datetime.timedelta(seconds=1))


def test_without_a_key_or_with_two_it_is_refused(pem: str) -> None:
    *_, key = split(pem)
    assert "must hold one private key, has 0" in refused(with_key(pem, ""))
    assert "must hold one private key, has 2" in refused(with_key(pem, key + key))


def test_a_key_with_a_passphrase_is_refused(pem: str) -> None:
    key = load_pem_private_key(split(pem)[2].encode(), None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode()
    assert "has a passphrase" in refused(with_key(pem, sealed))


def test_a_key_that_is_no_key_is_refused(pem: str) -> None:
    broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert "cannot be read" in refused(with_key(pem, broken))


def test_anothers_key_is_refused(pem: str, authority: Authority) -> None:
    assert "is not that of the first certificate" in refused(with_key(pem, authority.key))


def test_a_short_rsa_key_is_refused(pem: str) -> None:
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    text = short.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert "has 1024 bits" in refused(with_key(pem, text))


def test_the_issuer_must_come_after_and_be_the_issuer(pem: str) -> None:
    server, issuer, key = split(pem)
    assert "must come first" in refused(issuer + server + key)
    assert "is not issued by" in refused(server + make_authority("other").certificate + key)


def test_one_without_a_host_is_refused(authority: Authority) -> None:
    assert "names no host" in refused(authority.certificate + authority.key)


def test_every_problem_is_a_line(pem: str) -> None:
    lines = refused(with_key(pem, ""), NOW + datetime.timedelta(days=100)).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{KEY}: ") for line in lines)


@pytest.mark.parametrize("value", [{"secure": "v1:abc:def"}, "-----BEGIN CERTIFICATE-----\n: [", None])
def test_settings_leave_it_alone(value: Any) -> None:
    config = read_config("prod")
    assert StackSettings.from_config({**config, KEY: value}) == StackSettings.from_config(config)


Record = Callable[[Mapping[str, Any]], recording.Recording]


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Record:
    from infra.components import images

    monkeypatch.delenv("PULUMI_CONFIG", raising=False)
    monkeypatch.setattr(images, "_CONTEXTS", tmp_path / "contexts")
    return recording.record


def secret_of(found: recording.Recording) -> recording.Registration:
    (secret,) = (item for name, item in found.of(SECRET).items() if name.startswith("secret-edge-certificate-"))
    return secret


def test_the_swarm_secret_carries_the_digest_and_is_sealed(record: Record, pem: str) -> None:
    found = record({**read_config("prod"), KEY: pem})
    known = certificate.read(pem, KEY, NOW)
    secret = secret_of(found)
    assert secret.inputs["name"] == f"pidea-prod-edge-certificate-{known.digest}"
    assert isinstance(secret.inputs["data"], recording.Secret)
    assert found.exports[outputs.EDGE_TLS] is True
    assert found.exports[outputs.EDGE_CERTIFICATE_CHAIN] == known.chain


def test_the_edge_alone_mounts_it(record: Record) -> None:
    for name, container in record(read_config("prod")).containers().items():
        mounted = [secret for secret in container.get("secrets", ()) if secret["fileName"] == "edge-certificate"]
        assert bool(mounted) == (name == "edge"), name
        assert all((s["fileMode"], s["fileUid"]) == (0o400, "10004") for s in mounted)


def test_without_one_nothing_is_made(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi.Config, "get", lambda *_: None)
    with pytest.raises(SettingsError, match=f"{KEY}: must be set.*pulumi config set --secret {KEY}"):
        record(read_config("prod"))


def test_a_preview_goes_on_without_one(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi.Config, "get", lambda *_: None)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    found = record(read_config("prod"))
    assert secret_of(found).inputs["name"] == "pidea-prod-edge-certificate-unset"


def test_a_key_in_plain_text_is_refused(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "is_config_secret", lambda _: False)
    with pytest.raises(SettingsError, match="private key in plain text; set it with --secret"):
        record(read_config("prod"))


def test_a_wrong_one_is_refused_before_the_first_resource(record: Record, pem: str) -> None:
    with pytest.raises(SettingsError, match="must hold one private key, has 0"):
        record({**read_config("prod"), KEY: "".join(split(pem)[:2])})
