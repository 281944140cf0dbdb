"""Where a repository is, and how restic is let in there: the environment and options of each of its commands."""

from __future__ import annotations

import dataclasses
import urllib.parse
from pathlib import Path

# What Debian trusts. restic trusts what it is given and nothing else, once it is given something.
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# Said of a server too: a copy from a folder to a server would take the folder's.
_PACK_MIB = "16"
# A file is brought to the disk as one, and a database's commit on that disk waits for as long: restic's smallest size,
# not its default.
_FOLDER_PACK_MIB = "4"
_SSH = (
    "ssh -F none -p {port} -i {key} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes"
    " -o UserKnownHostsFile={trust} -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
    " {user}@{host} -s sftp"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Location:
    """`url` is how restic writes it, without what is secret: a folder's path, `rest:…`, `s3:…`, `sftp://…`.

    `login_file` holds the password or key for `username`, `trust_file` what the server is known by: authorities in PEM,
    or SSH's known hosts; none means Debian's authorities. `append_only`: the server lets us delete nothing but locks.
    """

    url: str
    username: str = ""
    login_file: Path | None = None
    region: str = ""
    trust_file: Path | None = None
    append_only: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is in the service's own volume."""
        return Path(self.url).is_absolute()

    @property
    def kind(self) -> str:
        """`rest`, `s3`, `sftp`; empty for a folder."""
        return "" if self.is_folder else self.url.partition(":")[0]

    def login(self) -> str:
        """The password or key; empty where none is needed."""
        return self.login_file.read_text().strip() if self.login_file else ""

    def with_login(self) -> str:
        """As restic reads it. For the environment of a short process: never onto a command line."""
        if self.kind != "rest":
            return self.url
        scheme, _, rest = self.url.removeprefix("rest:").partition("://")
        return f"rest:{scheme}://{self.username}:{urllib.parse.quote(self.login(), safe='')}@{rest}"

    def environment(self) -> dict[str, str]:
        """What restic finds a key in, and how large its files become."""
        pack = {"RESTIC_PACK_SIZE": _FOLDER_PACK_MIB if self.is_folder else _PACK_MIB}
        if self.kind != "s3":
            return pack
        return {
            **pack,
            "AWS_ACCESS_KEY_ID": self.username,
            "AWS_SECRET_ACCESS_KEY": self.login(),
            "AWS_DEFAULT_REGION": self.region,
        }

    def options(self) -> list[str]:
        """Options of restic."""
        if self.kind == "sftp":
            return ["-o", f"sftp.command={self._ssh()}"]
        return ["--cacert", str(self.trust_file)] if self.trust_file else []

    def _ssh(self) -> str:
        server = urllib.parse.urlsplit(self.url)
        return _SSH.format(
            port=server.port, key=self.login_file, trust=self.trust_file, user=server.username, host=server.hostname
        )


def options_of_both(first: Location, second: Location) -> list[str]:
    """Options for a command that reaches two repositories."""
    options = [*first.options(), *second.options()]
    over_https = [one for one in (first, second) if one.kind in {"rest", "s3"}]
    if "--cacert" in options and any(one.trust_file is None for one in over_https):
        options += ["--cacert", _AUTHORITIES]
    return options
