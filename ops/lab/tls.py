"""A lab's engines over TLS, as those of real machines are reached: an authority of the lab's own on both sides."""

from __future__ import annotations

import os
from pathlib import Path

from docker.tls import TLSConfig

from ops.errors import UsageError
from ops.host.endpoint import Endpoint
from ops.lab.record import Record
from ops.lab.reference import Lab, node_name

PORT = 2376


def client_folder(lab: Lab) -> Path:
    """What DOCKER_CERT_PATH says: `ca.pem`, and the operator's `cert.pem` and `key.pem`."""
    return lab.folder / "tls"


def make(lab: Lab, record: Record) -> None:
    """Makes an authority, a certificate for each node's address, and one for the operator. The authority's key is gone
    afterwards: nothing more is to be signed.
    """
    from ops.stack import authority  # cryptography costs a start 30 ms that no other command of the lab has to pay

    ours = authority.make_authority(f"lab {lab.name}")
    for slot in record.slots:
        own = authority.server_pair(ours, [node_name(slot)], [record.address(slot)])
        _write(lab.socket_folder(slot) / "tls", ours.certificate, *own)
    _write(client_folder(lab), ours.certificate, *authority.client_pair(ours, "operator"))


def of_node(lab: Lab, record: Record, slot: int) -> Endpoint:
    """The engine of one node at its address. Raises UsageError for a lab that was made before there was TLS."""
    folder = client_folder(lab)
    if not folder.exists():
        raise UsageError(f"Lab {lab.name!r} was made without TLS; take it down and up again.")
    tls = TLSConfig(
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")), ca_cert=str(folder / "ca.pem"), verify=True
    )
    return Endpoint(f"tcp://{record.address(slot)}:{PORT}", f"node {node_name(slot)} of lab {lab.name}", tls)


def _write(folder: Path, authority: str, certificate: str, key: str) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, content in {"ca.pem": authority, "cert.pem": certificate, "key.pem": key}.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
