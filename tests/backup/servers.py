"""Servers that keep backups, elsewhere as far as the stack knows: each a container on the network that leads out."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.stack import certificates
from tests.stack.plain import docker
from tests.stack.waiting import wait_until

IMAGE = "pidea/test-backup-servers"
FOLDER = Path(__file__).parent / "servers"
USER = "keeper"
_PORTS = {"rest": 8443, "s3": 8333, "sftp": 2222}
_BUCKET = "backups"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """`settings` is what `pidea:backup` says of it, `login` what the secret setting holds."""

    kind: str
    container: str
    settings: Mapping[str, Any]
    login: str = dataclasses.field(repr=False)

    def run(self, *command: str) -> str:
        """What a command in it prints, as root."""
        return docker("exec", self.container, *command)

    def stop(self) -> None:
        """As when its machine loses power."""
        docker("kill", self.container)

    def start(self) -> None:
        """Up again, with the data that it had."""
        docker("start", self.container)
        self.wait()

    def wait(self) -> None:
        """Until it listens."""
        port = _PORTS[self.kind]
        listens = ["exec", self.container, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo yes"]
        wait_until(lambda: docker(*listens, check=False), f"{self.container} listens")

    def remove(self) -> None:
        """It and its data."""
        docker("rm", "--force", "--volumes", self.container, check=False)


def rest(name: str, network: str, folder: Path, *, append_only: bool = False) -> Server:
    """rclone's REST server."""
    password = secrets.token_urlsafe(24) + "/@:"
    authority = _write_tls(folder / name, name)
    command = [
        *("rclone", "serve", "restic", "/srv", "--addr=:8443", "--cert=/tls/cert.pem", "--key=/tls/key.pem"),
        *(f"--user={USER}", f"--pass={password}", *(["--append-only"] if append_only else [])),
    ]
    settings = {
        "kind": "rest",
        "url": f"https://{name}:8443/stack",
        "username": USER,
        "caCertificate": authority,
        "appendOnly": append_only,
    }
    return _started("rest", name, network, folder / name, command, settings, password)


def s3(name: str, network: str, folder: Path) -> Server:
    """SeaweedFS with one user, who may use one bucket."""
    key_id, key = "stackkey", secrets.token_urlsafe(24)
    authority = _write_tls(folder / name, name)
    may = [f"{action}:{_BUCKET}" for action in ("Admin", "Read", "Write", "List", "Tagging")]
    user = {"name": USER, "credentials": [{"accessKey": key_id, "secretKey": key}], "actions": may}
    (folder / name / "s3.json").write_text(json.dumps({"identities": [user]}))
    command = [
        *("weed", "server", "-dir=/srv", "-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3"),
        *("-s3.port=8334", "-s3.port.https=8333", "-s3.config=/tls/s3.json"),
        *("-s3.cert.file=/tls/cert.pem", "-s3.key.file=/tls/key.pem"),
    ]
    settings = {
        "kind": "s3",
        "url": f"https://{name}:8333",
        "bucket": _BUCKET,
        "prefix": "stack",
        "accessKeyId": key_id,
        "caCertificate": authority,
    }
    return _started("s3", name, network, folder / name, command, settings, key)


def sftp(name: str, network: str, folder: Path) -> Server:
    """OpenSSH, for files alone."""
    (folder / name).mkdir()
    host, user = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    (folder / name / "host-key").write_text(_private(host))
    (folder / name / "host-key").chmod(0o600)
    (folder / name / "authorized").write_text(f"restrict {_public(user)}\n")
    command = [
        *("/usr/sbin/sshd", "-f", "/dev/null", "-D", "-e", "-p", "2222", "-h", "/tls/host-key"),
        *("-o", "AuthorizedKeysFile=/tls/authorized", "-o", "PasswordAuthentication=no", "-o", "UsePAM=no"),
        *("-o", "ForceCommand=internal-sftp", "-o", "Subsystem=sftp internal-sftp", "-o", "StrictModes=no"),
    ]
    settings = {
        "kind": "sftp",
        "host": name,
        "port": 2222,
        "username": USER,
        "path": f"/srv/{USER}/backups/stack",
        "hostKey": _public(host),
    }
    return _started("sftp", name, network, folder / name, command, settings, _private(user))


MAKERS = {"rest": rest, "s3": s3, "sftp": sftp}


def build(base: str) -> None:
    """The image that all of them are of."""
    docker("build", "--quiet", "--network=host", f"--build-arg=BASE={base}", "-t", IMAGE, str(FOLDER), seconds=900)


def _started(
    kind: str,
    name: str,
    network: str,
    folder: Path,
    command: Sequence[str],
    settings: Mapping[str, Any],
    login: str,
) -> Server:
    docker("run", "--detach", f"--name={name}", f"--network={network}", f"--volume={folder}:/tls:ro", IMAGE, *command)
    server = Server(kind=kind, container=name, settings=settings, login=login)
    try:
        server.wait()
    except BaseException:
        server.remove()
        raise
    return server


def _write_tls(folder: Path, host: str) -> str:
    authority = certificates.authority("authority of the tests")
    certificates.write(folder, authority, certificates.server(authority, host))
    return authority.pem.decode()


def _private(key: ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def _public(key: ed25519.Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
