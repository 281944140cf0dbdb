"""What one would use instead of our backups: `pg_dump | gzip` and a `tar` of Redis' volume, and their way back."""

from __future__ import annotations

from infra import names
from ops.bench import backup_data
from ops.bench.stand import Stand

_NAME = "dumper"
_DUMP, _TAR, _UNPACKED = "/data/dump.sql.gz", "/data/redis.tar", "/data/redis"


class Yardstick:
    """A container with PostgreSQL's tools and an empty server of its own, in which dumps are made and read back."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        stand.dumper(_NAME)
        self.container = stand.container(_NAME)

    def dump(self) -> int:
        """PostgreSQL through the network and by the user of our backups, to the disk; gives the dump's size."""
        host = names.physical(self._stand.instance, names.POSTGRES)
        where = f"--host={host} --username={names.POSTGRES_BACKUP_USERNAME} {names.POSTGRES_DATABASE}"
        password = names.secret_path(names.POSTGRES_BACKUP_PASSWORD)
        self._shell(f"PGPASSWORD=$(cat {password}) pg_dump {where} | gzip > {_DUMP}; sync {_DUMP}")
        return int(self._shell(f"stat --format=%s {_DUMP}"))

    def tar(self) -> int:
        """Redis' files, to the disk; gives the archive's size."""
        # Another user's files.
        self._shell(f"tar --create --file={_TAR} --directory=/redis .; sync {_TAR}", user="root")
        return int(self._shell(f"stat --format=%s {_TAR}", user="root"))

    def make_empty(self) -> None:
        """Takes away what an earlier round has read back."""
        name = names.POSTGRES_DATABASE
        self._shell(f"dropdb --if-exists {name}; createdb --owner={names.POSTGRES_APP_USERNAME} {name}")
        self._shell(f"rm -rf {_UNPACKED}; mkdir {_UNPACKED}", user="root")

    def load(self) -> None:
        """The dump into an empty server."""
        psql = f"psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname={names.POSTGRES_DATABASE}"
        self._shell(f"gunzip --stdout {_DUMP} | {psql} > /dev/null")

    def untar(self) -> None:
        """Redis' files into an empty folder."""
        self._shell(f"tar --extract --file={_TAR} --directory={_UNPACKED}; sync {_UNPACKED}", user="root")

    def messages(self) -> int:
        """How many came back."""
        psql = f"psql --no-psqlrc -Atq --dbname={names.POSTGRES_DATABASE}"
        return int(self._shell(f"{psql} --command='{backup_data.COUNT}'"))

    def _shell(self, script: str, *, user: str = "") -> str:
        command = ["bash", "-euc", f"set -o pipefail; {script}"]
        return self._stand.run_in(self.container, command, user=user)
