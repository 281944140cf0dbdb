"""Just enough of a registry to give an image that was made on this machine a digest.

Docker tells an image's digest only after a push. This end of the push keeps the manifest and forgets the layers: who
asks for the image on this machine has them.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from typing import Any

from ops.stack import swarm


class _Handler(http.server.BaseHTTPRequestHandler):
    manifests: dict[str, tuple[str, bytes]]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_POST(self) -> None:
        self._send(202, {"Location": f"{self.path.rstrip('/')}/1", "Range": "0-0"})

    def do_PATCH(self) -> None:
        received = 0
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + len("\r\n"))
            received += size
        self.rfile.readline()
        self._send(202, {"Location": self.path, "Range": f"0-{received - 1}"})

    def do_PUT(self) -> None:
        if "/blobs/uploads/" in self.path:
            self._send(201, {"Docker-Content-Digest": self.path.partition("digest=")[2].replace("%3A", ":")})
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        for reference in (digest, self.path.rpartition("/")[2]):
            self.manifests[reference] = (self.headers["Content-Type"], body)
        self._send(201, {"Docker-Content-Digest": digest})

    def _answer(self, *, with_body: bool) -> None:
        kind, _, reference = self.path.rpartition("/")
        if kind.endswith("/blobs"):
            self._send(200, {"Docker-Content-Digest": reference, "Content-Length": "1"})
        elif found := self.manifests.get(reference):
            digest = f"sha256:{hashlib.sha256(found[1]).hexdigest()}"
            headers = {"Content-Type": found[0], "Docker-Content-Digest": digest, "Content-Length": str(len(found[1]))}
            self._send(200, headers)
            if with_body:
                self.wfile.write(found[1])
        else:
            self._send(200 if self.path == "/v2/" else 404, {})

    def _send(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test's output is not the place."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A registry on loopback, which Docker trusts without TLS; gives its `host:port`."""
    handler = type("Handler", (_Handler,), {"manifests": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def derived(registry: str, name: str, image: str, command: list[str]) -> Iterator[str]:
    """An image like `image` with another command, as a reference for `pidea:images`. Its name goes at the end."""
    reference = f"{registry}/{name}"
    with swarm.client() as api:
        # Never started: the commit takes over the command. The image's entrypoint stays in front of it.
        container = api.create_container(image, command)["Id"]
        try:
            api.commit(container, repository=reference, tag="1")
        finally:
            api.remove_container(container)
    try:
        with swarm.client() as api:
            pushed = api.push(reference, tag="1", stream=True, decode=True, auth_config={"username": "nobody"})
            problems = [message["error"] for message in pushed if "error" in message]
        assert not problems, problems
        yield f"{reference}:1"
    finally:
        with swarm.client() as api:
            # A failed task's container may still be of that image; without its name, `docker image prune` takes it.
            api.remove_image(f"{reference}:1", force=True)
