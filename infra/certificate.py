"""The edge's certificate: what is in the PEM text, and whether the edge could serve with it. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from infra.errors import SettingsError

if TYPE_CHECKING:  # the library costs a start 30 ms that only a stack with TLS has to pay
    from cryptography.x509 import Certificate

_KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
# Below it OpenSSL, as Debian builds it, does not serve.
_RSA_BITS_MIN = 2048
_DIGEST_LENGTH = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class EdgeCertificate:
    """What everybody may know of it. `chain` is PEM: the edge's own first, then each one's issuer; times are UTC."""

    hosts: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime
    chain: str

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that change with any certificate of the chain. The key, being its own, is in them."""
        return hashlib.sha256(self.chain.encode()).hexdigest()[:_DIGEST_LENGTH]


def read(pem: str, key_name: str, now: datetime.datetime) -> EdgeCertificate:
    """The certificates of `pem`, once they and the private key beside them fit each other and the day `now`.

    Raises SettingsError, one line for each problem, with `key_name` as the path.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise SettingsError([f"{key_name}: must hold a certificate in PEM form, and its private key"]) from None
    problems = [*_dates(chain, now), *_issuers(chain), *_key(chain[0], pem)]
    hosts = _hosts(chain[0])
    if not hosts:
        problems.append("the certificate names no host (subjectAltName), so that every client refuses it")
    if problems:
        raise SettingsError([f"{key_name}: {problem}" for problem in problems])
    return EdgeCertificate(
        hosts=hosts,
        not_before=chain[0].not_valid_before_utc,
        not_after=min(certificate.not_valid_after_utc for certificate in chain),
        chain="".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain),
    )


def _dates(chain: Sequence[Certificate], now: datetime.datetime) -> Iterator[str]:
    for certificate in chain:
        name = certificate.subject.rfc4514_string() or "without a name"
        if now > certificate.not_valid_after_utc:
            yield f"certificate {name} ended on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; put in a new one"
        if now < certificate.not_valid_before_utc:
            start = certificate.not_valid_before_utc
            yield f"certificate {name} begins on {start:%Y-%m-%d %H:%M} UTC; wait, or set this machine's clock"


def _issuers(chain: Sequence[Certificate]) -> Iterator[str]:
    from cryptography.exceptions import InvalidSignature

    for certificate, issuer in itertools.pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            yield (
                f"{certificate.subject.rfc4514_string()} is not issued by {issuer.subject.rfc4514_string()}, which"
                " comes after it; the edge's own certificate must come first, then each one's issuer"
            )


def _key(certificate: Certificate, pem: str) -> Iterator[str]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    found = [match[0] for match in _KEY.finditer(pem)]
    if len(found) != 1:
        yield f"must hold one private key, has {len(found)}"
        return
    try:
        key = load_pem_private_key(found[0].encode(), password=None)
    except TypeError:
        yield "the private key has a passphrase, for which nobody could ask; take it off (openssl pkey)"
        return
    except (ValueError, UnsupportedAlgorithm):
        yield "the private key cannot be read; it must be in PEM form"
        return
    if key.public_key() != certificate.public_key():
        yield "the private key is not that of the first certificate; the edge's own certificate must come first"
    if isinstance(key, RSAPrivateKey) and key.key_size < _RSA_BITS_MIN:
        yield f"the RSA key has {key.key_size} bits, and must have at least {_RSA_BITS_MIN}"


def _hosts(certificate: Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *(str(address) for address in addresses))
