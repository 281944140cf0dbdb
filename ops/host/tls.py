"""Docker over TLS: what is wrong where engine and client do not trust each other, said so that one can act on it."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path

from ops.host.endpoint import Endpoint

_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


def expired(where: Endpoint) -> str:
    """What is wrong with this machine's own certificate for the engine, by its dates alone; empty if nothing is."""
    path = _certificate(where)
    if path is None:
        return ""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        return f"{path} is no certificate that can be read: {error}. Put the client's certificate there (PEM)."
    now = datetime.datetime.now(datetime.UTC)
    if now > found.not_valid_after_utc:
        return (
            f"The certificate {path}, by which {where.url} knows this machine, ended on "
            f"{found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC. Have a new one signed, then run this again."
        )
    if now < found.not_valid_before_utc:
        return (
            f"The certificate {path} begins on {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC. "
            "Wait, or set this machine's clock, then run this again."
        )
    return ""


def refusal(where: Endpoint, error: BaseException) -> str:
    """Which side did not trust the other, from what the HTTP client raised; empty where TLS was not the matter."""
    found = next((one for one in _chain(error) if isinstance(one, ssl.SSLError)), None)
    if found is None:
        return ""
    folder = Path(str(where.tls.ca_cert)).parent if where.tls and where.tls.ca_cert else None
    if isinstance(found, ssl.SSLCertVerificationError) or _UNTRUSTED in str(found):
        said = getattr(found, "verify_message", "") or "it is not signed by an authority that is known here"
        return (
            f"The engine at {where.url} cannot be trusted: {said}. Put the authority that signed its certificate into "
            f"{folder / 'ca.pem' if folder else 'ca.pem under DOCKER_CERT_PATH'}, or use the name that it was made for."
        )
    if where.tls is None or not where.tls.cert:
        return f"The engine at {where.url} wants a client's certificate. Set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH."
    return (
        f"The engine at {where.url} refuses the certificate {where.tls.cert[0]}{_alert(found)}. "
        "Have one signed by the authority that the engine was given as --tlscacert, then run this again."
    )


def _certificate(where: Endpoint) -> Path | None:
    return Path(where.tls.cert[0]) if where.tls and where.tls.cert else None


def _alert(error: ssl.SSLError) -> str:
    """The engine's own word, where it came through before the connection was closed."""
    _, found, word = str(error.reason or "").partition("ALERT_")
    return f" ({word.replace('_', ' ').lower()})" if found else ""


def _chain(error: object, depth: int = 8) -> Iterator[object]:
    """An error and all that are inside of it: the HTTP client's hide each other in causes, arguments and reasons."""
    if not isinstance(error, BaseException) or depth == 0:
        return
    yield error
    for inner in (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args):
        yield from _chain(inner, depth - 1)
