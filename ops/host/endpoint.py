"""Where the Docker engine is said to be: DOCKER_HOST, else the Docker context in use, else the default socket.

The same order of precedence as the docker command line has.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.context import ContextAPI
from docker.tls import TLSConfig

from ops.errors import HostError

DEFAULT_SOCKET = Path("/var/run/docker.sock")


@dataclass(frozen=True)
class Endpoint:
    """An engine's address, and what named it (for messages)."""

    url: str
    named_by: str
    tls: TLSConfig | None = None

    @property
    def socket(self) -> Path | None:
        """The local socket's path; None for an engine on another machine."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None

    @property
    def is_default(self) -> bool:
        """Whether this is the place where this machine's own engine listens, which we may start."""
        return self.socket is not None and self.socket.resolve() == DEFAULT_SOCKET.resolve()

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to find the same engine, also one that knows nothing of contexts."""
        found = {"DOCKER_HOST": self.url}
        if self.tls and self.tls.cert:
            found |= {"DOCKER_CERT_PATH": str(Path(self.tls.cert[0]).parent)}
            found |= {"DOCKER_TLS_VERIFY": "1"} if self.tls.verify else {}
        return found

    def at(self, address: str) -> Endpoint | None:
        """The engine of another machine of the same kind: the same way in, user, port and certificate, to `address`.

        None where this one is a local socket: that leads to no other machine.
        """
        parts = urlsplit(self.url)
        if parts.hostname is None or self.socket is not None:
            return None
        host = f"[{address}]" if ":" in address else address
        user = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
        return Endpoint(f"{parts.scheme}://{user}{host}{port}", f"a node of the swarm at {parts.hostname}", self.tls)

    def client(self, *, version: str = "auto", timeout_seconds: float = 60) -> docker.APIClient:
        """A client of the low-level API. Asks the engine for its version, unless one is given."""
        # The stubs of types-docker give whole seconds only; requests takes any number.
        return _Client(
            base_url=self.url,
            tls=self.tls or False,
            version=version,
            timeout=timeout_seconds,  # type: ignore[arg-type]
            use_ssh_client=self.url.startswith("ssh://"),
        )


class _Client(docker.APIClient):
    """With requests alone, REQUESTS_CA_BUNDLE in the environment would outweigh the engine's own authority."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        found = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return {**found, "verify": self.verify if verify is None else verify}


def resolve(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint that the docker command line would use too. HostError where it names a context that is not there."""
    if host := environment.get("DOCKER_HOST"):
        return Endpoint(host, "DOCKER_HOST", _tls_from(environment))
    context = environment.get("DOCKER_CONTEXT")
    try:
        found = ContextAPI.kwargs_from_context(context, dict(environment))
    except Exception as error:  # the library raises plain Exception and KeyError for a damaged file
        raise HostError(
            f"Docker's contexts cannot be read: {error}. Repair them (docker context ls) or set DOCKER_HOST."
        ) from error
    if not found:
        named = f"DOCKER_CONTEXT names {context!r}" if context else "Docker's configuration names a context"
        raise HostError(f"{named}, which is not there. Choose one of `docker context ls`, or set DOCKER_HOST.")
    named = f"Docker context {context}" if context else "Docker's default"
    return Endpoint(str(found["base_url"]).removeprefix("http+"), named, found.get("tls"))


def _tls_from(environment: Mapping[str, str]) -> TLSConfig | None:
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    folder = environment.get("DOCKER_CERT_PATH")
    if not (verify or folder):
        return None
    where = Path(folder) if folder else Path.home() / ".docker"
    try:
        return TLSConfig(
            client_cert=(str(where / "cert.pem"), str(where / "key.pem")),
            ca_cert=str(where / "ca.pem"),
            verify=verify,
        )
    except docker.errors.TLSParameterError as error:
        raise HostError(
            f"DOCKER_TLS_VERIFY is set, but {where} does not hold ca.pem, cert.pem and key.pem. "
            "Set DOCKER_CERT_PATH to the folder that does."
        ) from error
