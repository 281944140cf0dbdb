"""The clients that may use the API: their names, and the digests of their bearer tokens."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.errors import SettingsError

FILE_VARIABLE = "API_CLIENTS_FILE"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
DIGEST = re.compile(r"[0-9a-f]{64}")
# What `sha256sum` says where the variable with the token was not set.
DIGEST_OF_NOTHING = hashlib.sha256(b"").hexdigest()
DEVELOPER = "developer"
FORM = "a line is NAME SHA256, the second being the SHA-256 of the token in lower-case hexadecimal digits"


@dataclass(frozen=True, slots=True)
class Clients:
    """Client names by the SHA-256 digest of their token.

    A plain digest is enough: tokens are random, not chosen by people, so there is nothing to guess from it. Looking
    up the digest in a dictionary tells a prober nothing either: it cannot steer towards a digest.
    """

    names_by_digest: Mapping[bytes, str]

    def name_of(self, token: str) -> str | None:
        """Whose token this is; None for nobody's."""
        return self.names_by_digest.get(hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest())


def read_clients(environment: Mapping[str, str], embedded_folder: Path | None) -> Clients:
    """Read the file that API_CLIENTS_FILE names; in embedded mode, make a token for the developer without one."""
    path = environment.get(FILE_VARIABLE)
    if path:
        return _parse(Path(path))
    if embedded_folder is not None:
        return _developer(embedded_folder)
    raise SettingsError([f"{FILE_VARIABLE}: must be the path of the file with the clients' tokens, is not set"])


def _parse(path: Path) -> Clients:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError([f"{FILE_VARIABLE}: cannot read {path}: {reason}"]) from error
    names: dict[bytes, str] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        # The line itself is not shown: it may hold a token by mistake.
        if len(fields) != 2 or not NAME.fullmatch(fields[0]) or not DIGEST.fullmatch(fields[1]):
            problems.append(f"{FILE_VARIABLE}: {path}, line {number}: {FORM}")
        elif fields[1] == DIGEST_OF_NOTHING:
            problems.append(f"{FILE_VARIABLE}: {path}, line {number}: this is the digest of an empty token")
        elif bytes.fromhex(fields[1]) in names:
            problems.append(f"{FILE_VARIABLE}: {path}, line {number}: another client has the same token")
        else:
            # A name may stand in several lines, so that a token can be replaced without a gap.
            names[bytes.fromhex(fields[1])] = fields[0]
    if not names and not problems:
        problems.append(f"{FILE_VARIABLE}: {path} names no client; {FORM}")
    if problems:
        raise SettingsError(problems)
    return Clients(names)


def _developer(folder: Path) -> Clients:
    path = folder / "token"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        token = path.read_text(encoding="utf-8").strip()
        if not token:  # also what a start leaves that ended before it wrote the token
            token = secrets.token_urlsafe(32)
            path.write_text(token + "\n", encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot keep the developer's token there: {error}"]) from error
    return Clients({hashlib.sha256(token.encode()).digest(): DEVELOPER})
