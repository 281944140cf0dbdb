"""A lab's engines and its operator know each other by one authority, whose key nobody keeps."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from ops.lab import tls
from ops.lab.record import Record
from ops.lab.reference import Lab

RECORD = Record(nodes=3, subnet="172.30.8.0/24", registry_port=24000, engine="unix:///var/run/docker.sock")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """One with the folders of its nodes, made as far as certificates."""
    made = Lab("lab", tmp_path)
    for slot in RECORD.slots:
        made.socket_folder(slot).mkdir(parents=True)
    tls.make(made, RECORD)
    return made


def test_every_key_is_for_its_owner_alone(lab: Lab) -> None:
    keys = sorted(lab.folder.rglob("*key*"))
    assert len(keys) == RECORD.nodes + 1
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert {key.parent.stat().st_mode & 0o777 for key in keys} == {0o700}


def test_the_authoritys_key_is_not_kept(lab: Lab) -> None:
    signer = x509.load_pem_x509_certificate((tls.client_folder(lab) / "ca.pem").read_bytes())
    for key in lab.folder.rglob("key.pem"):
        own = x509.load_pem_x509_certificate((key.parent / "cert.pem").read_bytes())
        own.verify_directly_issued_by(signer)
        assert own.public_key() != signer.public_key()


def test_an_engine_is_known_by_its_address(lab: Lab) -> None:
    own = x509.load_pem_x509_certificate((lab.socket_folder(2) / "tls" / "cert.pem").read_bytes())
    hosts = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in hosts.get_values_for_type(x509.IPAddress)] == [RECORD.address(2)]


def test_where_a_node_is_reached(lab: Lab) -> None:
    found = tls.of_node(lab, RECORD, 2)
    assert found.url == f"tcp://{RECORD.address(2)}:2376"
    assert found.environment == {
        "DOCKER_HOST": found.url,
        "DOCKER_CERT_PATH": str(tls.client_folder(lab)),
        "DOCKER_TLS_VERIFY": "1",
    }
    ssl.create_default_context(cafile=str(tls.client_folder(lab) / "ca.pem"))
