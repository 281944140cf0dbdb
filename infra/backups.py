"""Settings of backups: when, how many, and where: the stack's own volume, or a server elsewhere. What is secret of a
server, the password or key that it lets the stack in with, is a secret setting of its own."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

import pydantic

from infra import names
from infra.schedule import Schedule
from infra.section import Section

# In the secret setting the secret stands alone, so nothing before an `@`.
HttpsUrl = Annotated[str, pydantic.Field(pattern=r"^https://[A-Za-z0-9.-]+(:\d{1,5})?(/[\w.~-]+)*/?$")]
HostName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", max_length=253)]
UserName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=128)]
AbsolutePath = Annotated[str, pydantic.Field(pattern=r"^(/[\w.-]+)+$")]
BucketName = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Prefix = Annotated[str, pydantic.Field(pattern=r"^[\w.-]+(/[\w.-]+)*$")]
_HOST_KEY = re.compile(r"^(ssh-ed25519|ecdsa-sha2-nistp\d{3}|ssh-rsa) [A-Za-z0-9+/]+={0,2}$")


def _cron(text: str) -> str:
    Schedule.parse(text)
    return text


def _certificate(text: str) -> str:
    from cryptography import x509  # costs a start 30 ms, which only who uses it has to pay

    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError("must be a certificate in PEM form") from None
    return text


def _host_key(text: str) -> str:
    if not _HOST_KEY.match(text):
        raise ValueError("must be the server's public key, as in `ssh-keyscan -t ed25519 HOST`: ssh-ed25519 AAAA…")
    return text


Cron = Annotated[str, pydantic.AfterValidator(_cron)]
CertificatePem = Annotated[str, pydantic.AfterValidator(_certificate)]
HostKey = Annotated[str, pydantic.AfterValidator(_host_key)]


class _Server(Section):
    """`append_only`: the server takes new data from us and lets us delete none, so nothing here forgets or prunes."""

    append_only: bool = False


class RestRepository(_Server):
    """restic's REST server, or `rclone serve restic`. The secret is the password of `username`.

    `ca_certificate` is what signs the server's certificate, where that is not one of Debian's authorities.
    """

    kind: Literal["rest"]
    url: HttpsUrl
    username: UserName
    ca_certificate: CertificatePem | None = None

    @property
    def location(self) -> str:
        """As restic writes it."""
        return f"rest:{self.url.rstrip('/')}/"

    @property
    def trust(self) -> str:
        """What the server is known by."""
        return self.ca_certificate or ""


class S3Repository(_Server):
    """A bucket of an S3-compatible store. `url` is the store's; the secret is the secret key of `access_key_id`."""

    kind: Literal["s3"]
    url: HttpsUrl
    bucket: BucketName
    prefix: Prefix | None = None
    access_key_id: UserName
    region: UserName = "us-east-1"
    ca_certificate: CertificatePem | None = None

    @property
    def username(self) -> str:
        """Whose secret the secret setting is."""
        return self.access_key_id

    @property
    def location(self) -> str:
        """As restic writes it."""
        return "/".join([f"s3:{self.url.rstrip('/')}", self.bucket, *([self.prefix] if self.prefix else [])])

    @property
    def trust(self) -> str:
        """What the server is known by."""
        return self.ca_certificate or ""


class SftpRepository(_Server):
    """A folder that SSH leads to. The secret is a private key without a passphrase; `host_key` is the server's."""

    kind: Literal["sftp"]
    host: HostName
    port: Annotated[int, pydantic.Field(ge=1, le=65535)] = 22
    username: UserName
    path: AbsolutePath
    host_key: HostKey

    @property
    def location(self) -> str:
        """As restic writes it; the second slash begins a path from the server's root."""
        return f"sftp://{self.username}@{self.host}:{self.port}/{self.path}"

    @property
    def trust(self) -> str:
        """What the server is known by: a line of SSH's known hosts."""
        host = self.host if self.port == 22 else f"[{self.host}]:{self.port}"
        return f"{host} {self.host_key}\n"


Repository = Annotated[RestRepository | S3Repository | SftpRepository, pydantic.Field(discriminator="kind")]


def _problem(repository: Repository | None, offsite: Repository | None) -> str:
    # Why the two cannot be used together; empty where they can.
    if repository is None or offsite is None:
        return ""
    if repository.location == offsite.location:
        return f"offsite must be another place than repository, both are {offsite.location}"
    # restic copies from one to the other in one process, which knows one S3 key and one SSH command.
    if repository.kind == offsite.kind and repository.kind != "rest":
        return f"repository and offsite must not both be {offsite.kind}: restic logs in to one such server at a time"
    return ""


class BackupSettings(Section):
    """Backups. The schedules are cron's, in UTC; each begins up to `jitter_seconds` later.

    WAL is in the repository at most `wal_seconds` after it was written. Any second of the last `keep_daily` days can be
    restored; of the weeks and months before one backup each is kept. `upload_kib_per_second` keeps the
    disk that users wait for from being busy with it, 0 means no limit.
    `repository` is where they are kept, none the stack's own volume; `offsite` a second place, to which what is kept is
    copied by `offsite_schedule`.
    """

    repository: Repository | None = None
    offsite: Repository | None = None
    schedule: Cron = "17 2 * * *"
    offsite_schedule: Cron = "27 * * * *"
    check_schedule: Cron = "47 3 * * *"
    drill_schedule: Cron = "17 5 * * 0"
    jitter_seconds: Annotated[int, pydantic.Field(ge=0, le=3600)] = 300
    wal_seconds: Annotated[int, pydantic.Field(ge=10, le=600)] = 30
    keep_daily: Annotated[int, pydantic.Field(ge=1, le=366)] = 7
    keep_weekly: Annotated[int, pydantic.Field(ge=0, le=520)] = 4
    keep_monthly: Annotated[int, pydantic.Field(ge=0, le=120)] = 3
    upload_kib_per_second: Annotated[int, pydantic.Field(ge=0, le=10_000_000)] = 8192

    @pydantic.model_validator(mode="after")
    def _can_be_copied(self) -> Self:
        if found := _problem(self.repository, self.offsite):
            raise ValueError(found)
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret settings that its servers need."""
        wanted = ((names.BACKUP_REPOSITORY_LOGIN, self.repository), (names.BACKUP_OFFSITE_LOGIN, self.offsite))
        return tuple(name for name, server in wanted if server is not None)
