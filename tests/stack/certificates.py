"""An authority and certificates for servers and their clients, for tests over TLS."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def authority(name: str) -> Pair:
    """One that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def server(by: Pair, host: str) -> Pair:
    """A server's, for its address or its name."""
    return _signed(by, f"server {host}", host, ExtendedKeyUsageOID.SERVER_AUTH)


def client(by: Pair, *, ended: bool = False) -> Pair:
    """A client's; `ended` for one whose time was over yesterday."""
    return _signed(by, "operator", None, ExtendedKeyUsageOID.CLIENT_AUTH, ended=ended)


def write(folder: Path, trusted: Pair, own: Pair) -> Path:
    """`ca.pem`, `cert.pem` and `key.pem`, as DOCKER_CERT_PATH names a folder of them; gives the folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(trusted.pem)
    (folder / "cert.pem").write_bytes(own.pem)
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_bytes(own.key_pem)
    return folder


def _signed(by: Pair, name: str, host: str | None, usage: x509.ObjectIdentifier, *, ended: bool = False) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = by.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    builder = _builder(name, str(issuer), key, ended=ended).add_extension(
        x509.ExtendedKeyUsage([usage]), critical=False
    )
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(host)]), critical=False)
    return Pair(builder.sign(by.key, hashes.SHA256()), key)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    name: str, issuer: str, key: ec.EllipticCurvePrivateKey, *, ended: bool = False
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * _DAY)
        .not_valid_after(now + (-_DAY if ended else _DAY))
    )
