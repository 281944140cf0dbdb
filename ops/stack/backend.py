"""Where the state is kept and what opens it: the user's own Pulumi login, else files in the ignored `.pidea/`."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ops import paths
from ops.errors import StateError
from ops.stack.reference import Stack

BACKEND_URL = "PULUMI_BACKEND_URL"
ACCESS_TOKEN = "PULUMI_ACCESS_TOKEN"  # noqa: S105 - the name of a variable; so are the next two
PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105
PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backend:
    """`folder` is the state's folder where the state is ours, None where the user's own login is used."""

    folder: Path | None
    passphrase_file: Path | None

    @property
    def is_ours(self) -> bool:
        """True for files in `.pidea/`, which nobody but this checkout uses."""
        return self.folder is not None

    @property
    def variables(self) -> dict[str, str]:
        """What Pulumi's environment needs to find the state and to open it."""
        variables = {}
        if self.folder is not None:
            variables[BACKEND_URL] = self.folder.as_uri()
            # The committed Pulumi.<stack>.yaml holds no salt: it belongs to one passphrase, so it stays in the state.
            variables["PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"] = "true"
        if self.passphrase_file is not None:
            variables[PASSPHRASE_FILE] = str(self.passphrase_file)
        return variables


def choose(stack: Stack, environ: Mapping[str, str] = os.environ) -> Backend:
    """The backend of `stack`; nothing is written. An instance never uses the user's login."""
    folder = None if stack.instance is None and has_login(environ, stack.local) else stack.folder / "state"
    theirs = PASSPHRASE in environ or (
        PASSPHRASE_FILE in environ and not _is_inside(environ[PASSPHRASE_FILE], stack.local)
    )
    if stack.instance is None and (theirs or folder is None):
        return Backend(folder=folder, passphrase_file=None)
    return Backend(folder=folder, passphrase_file=stack.folder / "passphrase")


def has_login(environ: Mapping[str, str] = os.environ, local: Path = paths.LOCAL) -> bool:
    """True where the user has chosen a backend: by variable or by `pulumi login`.

    What `./pidea env` exported into this shell is not the user's choice.
    """
    if url := environ.get(BACKEND_URL):
        return not (url.startswith("file://") and _is_inside(url.removeprefix("file://"), local))
    if environ.get(ACCESS_TOKEN):
        return True
    home = environ.get("PULUMI_CREDENTIALS_PATH") or environ.get("PULUMI_HOME")
    credentials = (Path(home) if home else Path.home() / ".pulumi") / "credentials.json"
    try:
        return bool(json.loads(credentials.read_text()).get("current"))
    except (OSError, ValueError, AttributeError):
        return False


def prepare(backend: Backend) -> None:
    """Makes the state's folder (0700) and the passphrase file (0600) where they are missing.

    Raises StateError where there is state and its passphrase file is gone: a new passphrase would not open it.
    """
    if backend.folder is not None:
        backend.folder.mkdir(parents=True, exist_ok=True)
        backend.folder.chmod(0o700)
    path = backend.passphrase_file
    if path is None or path.exists():
        return
    if backend.folder is not None and any(backend.folder.glob(".pulumi/stacks/*/*.json")):
        raise StateError(
            f"{path} is missing, and without it the state in {backend.folder} does not open; "
            "put the file back, or set PULUMI_CONFIG_PASSPHRASE to what was in it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")


def _is_inside(path: str, folder: Path) -> bool:
    return Path(path.split("?")[0]).resolve().is_relative_to(folder.resolve())
