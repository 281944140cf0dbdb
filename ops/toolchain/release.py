"""Where a publisher keeps a release."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A tar.gz archive of executables and the address of a `sha256sum` or `sha512sum` list that names it."""

    archive_url: str
    checksums_url: str

    @property
    def archive_name(self) -> str:
        """The archive's file name, by which the list names it."""
        return self.archive_url.rsplit("/", 1)[1]
