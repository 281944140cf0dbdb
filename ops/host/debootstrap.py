"""A minimal Debian made on this machine, for where no registry can be reached. Needs root and a Debian mirror."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ops import paths
from ops.errors import HostError
from ops.host import apt
from ops.host.lock import only_one

SUITE = "bookworm"
_SCRIPT = Path(__file__).with_name("debootstrap.sh")
_TIMEOUT_SECONDS = 900
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class Mirrors(NamedTuple):
    """Where Debian comes from. An empty text leaves the choice to debootstrap."""

    main: str
    security: str


def cached_tarball() -> Path:
    """Where the tar is kept. Its name has a digest of the recipe, so that a new recipe makes a new one."""
    recipe = hashlib.sha256(_SCRIPT.read_bytes()).hexdigest()[:12]
    return paths.cache() / "sources" / f"rootfs-{SUITE}-{os.uname().machine}-{recipe}.tar"


def tarball(progress: Callable[[str, str], None]) -> Path:
    """The root file system as an uncompressed tar, from the user's cache or made now (about a minute)."""
    wanted = cached_tarball()
    with only_one(wanted.parent / "lock"):
        if not wanted.exists():
            _make(wanted, progress)
    return wanted


def mirrors() -> Mirrors:
    """What this machine's own apt uses, so that a company's mirror is used here too."""
    if shutil.which("apt-get") is None:
        return Mirrors("", "")
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    return pick_mirrors([line.split("|") for line in listed.stdout.splitlines()])


def pick_mirrors(targets: list[list[str]]) -> Mirrors:
    """From lines of address, origin and label. Before the first `apt-get update` only the address is known."""
    main = security = ""
    for address, origin, label in targets:
        name = address.rstrip("/").rpartition("/")[2]
        if not security and ((origin, label) == ("Debian", "Debian-Security") or name == "debian-security"):
            security = address
        elif not main and ((origin, label) == ("Debian", "Debian") or name == "debian"):
            main = address
    return Mirrors(main, security if main else "")


def _make(wanted: Path, progress: Callable[[str, str], None]) -> None:
    prefix = _prepare_host(progress)
    progress("base image", f"making Debian {SUITE} with debootstrap (about a minute)")
    with tempfile.TemporaryDirectory(dir=wanted.parent) as name:
        # The script makes its own folder elsewhere: what root makes there, only root can remove.
        made, log, work = Path(name) / "rootfs.tar", Path(name) / "log", tempfile.gettempdir()
        command = [*prefix, "unshare", "--mount", "sh", str(_SCRIPT), SUITE, work, str(log), *mirrors()]
        with made.open("wb") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                env=os.environ | {"PATH": _SEARCH_PATH},
                check=False,
                timeout=_TIMEOUT_SECONDS,
            )
        if done.returncode != 0:
            said = (log.read_text(errors="replace") if log.exists() else "") + done.stderr.decode(errors="replace")
            raise HostError(
                f"debootstrap could not make the base image: {(said.strip().splitlines() or ['no message'])[-1]}. "
                "Check that this machine's Debian mirror can be reached (apt-get update), then run this again."
            )
        made.rename(wanted)


def _prepare_host(progress: Callable[[str, str], None]) -> list[str]:
    prefix = apt.root_prefix()
    if prefix is None:
        raise HostError(
            "No image registry can be reached, and making the base image here needs root. "
            "Run ./pidea setup once as root, or load debian:bookworm-slim into Docker, then run this again."
        )
    if shutil.which("debootstrap", path=_SEARCH_PATH) is None:
        apt.install(["debootstrap", "debian-archive-keyring"], purpose="debootstrap", progress=progress)
    return prefix
