"""A certificate authority of our own, for stacks that have no certificate from elsewhere. Pure: it keeps no files."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_DAYS = 10 * 365
_CERTIFICATE_DAYS = 90
# Clocks differ: a certificate that begins now has not begun for some.
_BACKDATED = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Authority:
    """Its certificate, for clients to trust, and its private key, for nobody; both PEM."""

    certificate: str
    key: str = dataclasses.field(repr=False)


def make_authority(name: str) -> Authority:
    """A new authority, good for ten years, that can sign no authority below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"PIDEA {name} authority")
    usage = _usage(key_cert_sign=True, crl_sign=True)
    certificate = (
        _builder(subject, subject, key.public_key(), _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(_pem(certificate), _key_pem(key))


def self_signed(authority: Authority, names: Sequence[str], addresses: Sequence[str]) -> str:
    """PEM of a server's certificate for these hosts, good for 90 days, of the authority's, and of the server's key.

    Raises ValueError for a name that is no host's, or an address that is none.
    """
    certificate, key = server_pair(authority, names, addresses)
    return certificate + authority.certificate + key


def server_pair(authority: Authority, names: Sequence[str], addresses: Sequence[str]) -> tuple[str, str]:
    """PEM of a server's certificate for these hosts, good for 90 days, and of its key. Raises ValueError."""
    hosts: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    hosts += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    return _pair(authority, [*names, *addresses][0], hosts, ExtendedKeyUsageOID.SERVER_AUTH)


def client_pair(authority: Authority, name: str) -> tuple[str, str]:
    """PEM of the certificate by which servers know the client `name`, good for 90 days, and of its key."""
    return _pair(authority, name, [], ExtendedKeyUsageOID.CLIENT_AUTH)


def _pair(
    authority: Authority, name: str, hosts: Sequence[x509.GeneralName], usage: x509.ObjectIdentifier
) -> tuple[str, str]:
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = load_pem_private_key(authority.key.encode(), password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not one of ours")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), issuer.subject, key.public_key(), _CERTIFICATE_DAYS)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    start = datetime.datetime.now(datetime.UTC) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(text: str) -> x509.Name:
    # The field has 64 characters; hosts that are longer stand in the alternative names alone.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
