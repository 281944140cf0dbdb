"""The manager reached as on another machine, at its address and by TLS: the same stack without the lab's sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from ops.host import engine
from ops.host import nodes as swarm_nodes
from ops.lab import record, tls
from tests.stack import certificates, commands
from tests.stack.prod import Prod

pytestmark = pytest.mark.operations

HOST_ERROR = 3


@pytest.fixture
def remote(prod: Prod) -> Iterator[Mapping[str, str]]:
    """What a shell exports to reach the first node by TLS. The stack is none on a lab meanwhile."""
    found = tls.of_node(prod.lab, record.require(prod.lab), 1).environment
    with _as_if_elsewhere(prod):
        yield found


def test_status_by_tls(prod: Prod, remote: Mapping[str, str]) -> None:
    done = _run(prod, "status", remote)
    assert done.code == 0, done.text
    assert done.json["healthy"] is True
    assert len(done.json["services"]) == len(prod.plan.services)


def test_preview_by_tls(prod: Prod, remote: Mapping[str, str]) -> None:
    done = _run(prod, "preview", remote)
    # As if elsewhere, where networks are encrypted: this kernel's cannot be, and nothing else speaks against it.
    objections = [line for line in done.errors.splitlines() if line.startswith("network ")]
    assert objections, done.text
    assert all("networks-encrypted" in line for line in objections), done.text


def test_every_node_is_reached_by_the_same_certificate(prod: Prod) -> None:
    manager = engine.require(tls.of_node(prod.lab, record.require(prod.lab), 1))
    for name in prod.engines:
        found = swarm_nodes.engine_of(manager, name)
        assert found.url.startswith("tcp://")
        api = engine.require(found).client()
        assert api.info()["Name"] == name
        api.close()


def test_a_certificate_of_another_authority(prod: Prod, remote: Mapping[str, str], tmp_path: Path) -> None:
    stranger = certificates.client(certificates.authority("another's"))
    said = _refused(prod, remote, _folder(remote, tmp_path, stranger))
    assert f"refuses the certificate {tmp_path}/own/cert.pem" in said


def test_a_certificate_that_has_ended(prod: Prod, remote: Mapping[str, str], tmp_path: Path) -> None:
    ended = certificates.client(certificates.authority("another's"), ended=True)
    said = _refused(prod, remote, _folder(remote, tmp_path, ended))
    assert f"The certificate {tmp_path}/own/cert.pem" in said
    assert "Have a new one signed" in said


def test_an_engine_that_is_not_ours(prod: Prod, remote: Mapping[str, str], tmp_path: Path) -> None:
    other = certificates.authority("another's")
    folder = certificates.write(tmp_path / "own", other, certificates.client(other))
    assert "cannot be trusted" in _refused(prod, remote, folder)


def _run(prod: Prod, name: str, environment: Mapping[str, str], *options: str) -> commands.Finished:
    words = ["env", *(f"{key}={value}" for key, value in environment.items())]
    # `up` without its --lab: the stack is none on a lab here.
    return commands.run([*words, *(word for word in prod.command(name, "--json", *options) if word != "--lab")])


def _refused(prod: Prod, remote: Mapping[str, str], folder: Path) -> str:
    for name in ("status", "up"):
        done = _run(prod, name, {**remote, "DOCKER_CERT_PATH": str(folder)})
        assert done.code == HOST_ERROR, done.text
        assert done.errors.count("Error:") == 1
        assert "Traceback" not in done.errors
    return " ".join(done.errors.split())


def _folder(remote: Mapping[str, str], tmp_path: Path, own: certificates.Pair) -> Path:
    """The lab's authority, and a client's certificate that it did not sign."""
    folder = tmp_path / "own"
    certificates.write(folder, certificates.authority("replaced"), own)
    (folder / "ca.pem").write_bytes((Path(remote["DOCKER_CERT_PATH"]) / "ca.pem").read_bytes())
    return folder


@contextlib.contextmanager
def _as_if_elsewhere(prod: Prod) -> Iterator[None]:
    """Without the mark that says that it is on a lab, and the setting that leads Pulumi to the lab's socket."""
    marker, file = prod.stack.lab_marker, prod.stack.config_file
    before = file.read_bytes()
    content = yaml.safe_load(before)
    content["config"].pop("docker:host", None)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    away = marker.rename(marker.with_suffix(".away"))
    try:
        yield
    finally:
        away.rename(marker)
        file.write_bytes(before)
