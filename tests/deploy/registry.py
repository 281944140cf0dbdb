"""Just enough of a registry to give an image that was made on this machine a digest.

Docker tells an image's digest only after a push. This end of the push claims to have every layer already and keeps the
manifest alone, so that nothing is copied and nothing leaves the machine.
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

    def do_HEAD(self) -> None:  # noqa: N802 - the base class's way of naming
        self._answer(with_body=False)

    def do_GET(self) -> None:  # noqa: N802
        self._answer(with_body=True)

    def do_PUT(self) -> None:  # noqa: N802
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
def derived(registry: str, name: str, image: str, command: list[str] | None = None) -> Iterator[str]:
    """An image like `image`, with another command; a reference that `pidea:images` takes. Its names go at the end."""
    reference = f"{registry}/{name}"
    with swarm.client() as api:
        container = api.create_container(image, command)["Id"]
        try:
            # Tini stays in front: the container ends as soon as its command does.
            changes = [f"CMD {_as_json(command)}"] if command else []
            api.commit(container, repository=reference, tag="1", changes=changes)  # type: ignore[arg-type]
        finally:
            api.remove_container(container)
        pushed = list(api.push(reference, tag="1", stream=True, decode=True, auth_config={"username": "nobody"}))
        problems = [message["error"] for message in pushed if "error" in message]
        assert not problems, problems
    try:
        yield f"{reference}:1"
    finally:
        with swarm.client() as api:
            for used in (
                api.inspect_image(f"{reference}:1")["RepoTags"] + api.inspect_image(f"{reference}:1")["RepoDigests"]
            ):
                if used.startswith(reference):
                    with contextlib.suppress(Exception):
                        api.remove_image(used, force=True)


def _as_json(command: list[str]) -> str:
    import json

    return json.dumps(command)
