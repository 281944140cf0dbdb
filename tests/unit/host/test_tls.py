"""Docker over TLS: who does not trust whom is told apart, each in one sentence that says what to do."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.errors import HostError
from ops.host import endpoint, engine
from ops.host.engine import State
from tests.stack import certificates
from tests.stack.certificates import Pair

ADDRESS = "127.0.0.1"


class _Engine(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"Version": "x.y", "ApiVersion": "1.41"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Refused clients are what the tests are about."""


@contextlib.contextmanager
def serving(folder: Path, authority: Pair, own: Pair) -> Iterator[str]:
    """An engine that wants a certificate signed by `authority`; gives what DOCKER_HOST says."""
    certificates.write(folder, authority, own)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = _Server((ADDRESS, 0), _Engine)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"tcp://{ADDRESS}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def authority() -> Pair:
    """The one that both sides know."""
    return certificates.authority("ours")


@pytest.fixture
def host(tmp_path: Path, authority: Pair) -> Iterator[str]:
    """An engine's address."""
    with serving(tmp_path / "engine", authority, certificates.server(authority, ADDRESS)) as url:
        yield url


def look(host: str, folder: Path) -> engine.Finding:
    return engine.look(
        endpoint.resolve({"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)})
    )


def test_an_engine_that_trusts_us_and_that_we_trust(host: str, tmp_path: Path, authority: Pair) -> None:
    finding = look(host, certificates.write(tmp_path / "own", authority, certificates.client(authority)))
    assert finding.state is State.RUNNING, finding.problem
    assert finding.engine is not None
    assert finding.engine.environment["DOCKER_CERT_PATH"] == str(tmp_path / "own")


def test_a_certificate_that_has_ended(host: str, tmp_path: Path, authority: Pair) -> None:
    folder = certificates.write(tmp_path / "own", authority, certificates.client(authority, ended=True))
    problem = look(host, folder).problem
    assert problem.startswith(f"The certificate {folder}/cert.pem, by which {host} knows this machine, ended on 20")
    assert problem.endswith("Have a new one signed, then run this again.")


def test_a_certificate_of_another_authority(host: str, tmp_path: Path, authority: Pair) -> None:
    stranger = certificates.client(certificates.authority("another's"))
    problem = look(host, certificates.write(tmp_path / "own", authority, stranger)).problem
    assert f"The engine at {host} refuses the certificate {tmp_path}/own/cert.pem" in problem
    assert "given as --tlscacert, then run this again." in problem


def test_an_engine_of_another_authority(host: str, tmp_path: Path, authority: Pair) -> None:
    other = certificates.authority("another's")
    problem = look(host, certificates.write(tmp_path / "own", other, certificates.client(authority))).problem
    assert problem.startswith(f"The engine at {host} cannot be trusted: ")
    assert f"{tmp_path}/own/ca.pem" in problem


def test_an_engine_under_another_name(host: str, tmp_path: Path, authority: Pair) -> None:
    folder = certificates.write(tmp_path / "own", authority, certificates.client(authority))
    problem = look(host.replace(ADDRESS, "localhost"), folder).problem
    assert "cannot be trusted: " in problem
    assert "localhost" in problem


def test_a_file_that_is_no_certificate(host: str, tmp_path: Path, authority: Pair) -> None:
    folder = certificates.write(tmp_path / "own", authority, certificates.client(authority))
    (folder / "cert.pem").write_text("hello")
    assert "own/cert.pem is no certificate that can be read" in look(host, folder).problem


def test_a_command_says_it_in_one_sentence(host: str, tmp_path: Path, authority: Pair) -> None:
    stranger = certificates.client(certificates.authority("another's"))
    folder = certificates.write(tmp_path / "own", authority, stranger)
    where = endpoint.resolve({"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)})
    with pytest.raises(HostError, match="refuses the certificate") as raised:
        engine.require(where)
    assert "\n" not in str(raised.value)
    assert "Max retries" not in str(raised.value)
