"""The edge's certificate: set, shown, and for an instance beside the environment made where it has none."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra import certificate, names
from infra.certificate import EdgeCertificate
from infra.errors import SettingsError
from infra.settings import NAMESPACE
from infra.spec import DeploymentPlan
from ops import console
from ops.errors import UsageError
from ops.lab import record
from ops.stack import target
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack
from ops.stack.state import State

if TYPE_CHECKING:  # cryptography costs a start 30 ms that only who makes a certificate has to pay
    from ops.stack.authority import Authority

KEY: Final = f"{NAMESPACE}:{names.EDGE_CERTIFICATE_SETTING}"
# How every client on this machine calls it.
LOCAL_NAMES: Final = ("localhost",)
LOCAL_ADDRESSES: Final = ("127.0.0.1", "::1")
# One of our own is made anew this long before its end.
_RENEW_BEFORE = datetime.timedelta(days=21)


def ensure(pulumi: Pulumi, state: State, plan: DeploymentPlan) -> None:
    """Sees that a stack with TLS has a certificate. Of an instance beside the environment it makes one where needed.

    Raises UsageError where the environment itself has none, or one that cannot serve.
    """
    if not plan.has_tls:
        return
    if pulumi.stack.instance is not None:
        ensure_self_signed(pulumi, state, LOCAL_NAMES, (*LOCAL_ADDRESSES, *_lab_addresses(pulumi.stack)))
    elif current(pulumi, state) is None:
        raise UsageError(
            f"{pulumi.stack.config_name} asks for TLS (edge.tls), and {KEY} is not set. Set it with "
            f"`./pidea certificate {pulumi.stack.arguments} --file PEM`, where PEM holds the certificate, its issuers "
            f"and its private key (or `pulumi config set --secret {KEY}`); --self-signed makes one for a first run."
        )


def ensure_self_signed(pulumi: Pulumi, state: State, hosts: Sequence[str], addresses: Sequence[str]) -> bool:
    """Makes and sets a certificate of our own for these, unless there is one that will do; whether it made one.

    A certificate from elsewhere is left alone. Raises UsageError for one that cannot serve.
    """
    text = pulumi.secret_setting(KEY, state)
    if text is not None and not _is_ours(pulumi.stack, text):
        _read(text)
        return False
    if text is not None:
        try:
            found = certificate.read(text, KEY, _now() + _RENEW_BEFORE)
        except SettingsError:
            pass  # it ends soon: a new one
        else:
            if {*hosts, *addresses} <= set(found.hosts):
                return False
    make_self_signed(pulumi, state, hosts, addresses)
    console.say(f"  the edge has a certificate of our own; clients trust it by {authority_file(pulumi.stack)}")
    return True


def make_self_signed(pulumi: Pulumi, state: State, hosts: Sequence[str], addresses: Sequence[str]) -> EdgeCertificate:
    """Makes a certificate of the stack's own authority, and sets it. Raises UsageError for a name that is no host's."""
    from ops.stack import authority

    try:
        pem = authority.self_signed(_authority(pulumi.stack), hosts, addresses)
    except ValueError as error:
        raise UsageError(f"There can be no certificate for {', '.join([*hosts, *addresses])}: {error}.") from error
    return store(pulumi, state, pem)


def store(pulumi: Pulumi, state: State, pem: str) -> EdgeCertificate:
    """Sets the certificates and the key in `pem`, encrypted. Raises UsageError where they cannot serve."""
    found = _read(pem)
    pulumi.set_secret_setting(KEY, pem, state)
    return found


def current(pulumi: Pulumi, state: State) -> EdgeCertificate | None:
    """The one that is set, None where none is. Raises UsageError where it cannot serve."""
    text = pulumi.secret_setting(KEY, state)
    return None if text is None else _read(text)


def authority_file(stack: Stack) -> Path:
    """The certificate of the stack's own authority: what a client that shall trust the edge must know."""
    return stack.folder / "certificates" / f"{stack.name}-authority.pem"


def told_apart(hosts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names and addresses, from hosts that may be either; what every client on this machine uses comes first."""
    found, addresses = [*LOCAL_NAMES], [*LOCAL_ADDRESSES]
    for host in hosts:
        try:
            addresses.append(str(ipaddress.ip_address(host)))
        except ValueError:
            found.append(host)
    return list(dict.fromkeys(found)), list(dict.fromkeys(addresses))


def _authority(stack: Stack) -> Authority:
    from ops.stack import authority

    file, key_file = authority_file(stack), _key_file(stack)
    if file.exists() and key_file.exists():
        return authority.Authority(file.read_text(), key_file.read_text())
    made = authority.make_authority(stack.name)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The key first: a certificate without its key would be taken for a whole authority.
    for path, text in ((key_file, made.key), (file, made.certificate)):
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(text)
        new.rename(path)
    return made


def _key_file(stack: Stack) -> Path:
    return authority_file(stack).with_name(f"{stack.name}-authority-key.pem")


def _is_ours(stack: Stack, pem: str) -> bool:
    file = authority_file(stack)
    return file.exists() and file.read_text().strip() in pem


def _lab_addresses(stack: Stack) -> list[str]:
    lab = target.lab_of(stack)
    if lab is None:
        return []
    found = record.require(lab)
    return [found.address(slot) for slot in found.slots]


def _read(pem: str) -> EdgeCertificate:
    try:
        return certificate.read(pem, KEY, _now())
    except SettingsError as error:
        raise UsageError(f"The certificate cannot be used:\n{error}") from error


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
