"""Runs the real `pulumi` and keeps the passphrase's salt out of the committed `Pulumi.<stack>.yaml`.

With a passphrase, Pulumi writes `encryptionsalt` (and its own formatting) into that file on every command that finds
none there. The salt belongs to one checkout's passphrase and is in the state already, so the first run of a fresh
clone would leave a change that nobody must commit. Nothing here applies to a file that has a salt of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

_SALT = "encryptionsalt"
_FOLDER = Path(__file__).resolve().parent / "bin"


def saltless_files(root: Path) -> dict[Path, bytes]:
    """The stack configurations without a salt, and their bytes."""
    files = {path: path.read_bytes() for path in root.glob("Pulumi.*.yaml")}
    return {path: content for path, content in files.items() if _SALT.encode() not in content}


def take_salt_out(before: dict[Path, bytes]) -> None:
    """Gives files their bytes of `before` where only the salt came; else takes out the salt and keeps the rest."""
    for path, old in before.items():
        if not path.exists():
            continue
        new = path.read_bytes()
        if _SALT.encode() not in new:
            continue
        kept = b"".join(line for line in new.splitlines(keepends=True) if not line.startswith(_SALT.encode()))
        path.write_bytes(old if _meaning(old) == _meaning(kept) else kept)


def _meaning(content: bytes) -> Any:
    # Pulumi writes numbers anew, and some as text: 3 and "3", 1.0 and 1 mean the same to it.
    return _normal(yaml.safe_load(content) or {})


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return float(text)
    except ValueError:
        return text


def project_of(folder: Path) -> Path:
    """The nearest folder upwards that holds a Pulumi project, as Pulumi looks for it; else `folder` itself."""
    return next((place for place in (folder, *folder.parents) if (place / "Pulumi.yaml").exists()), folder)


def real_pulumi() -> str | None:
    """The first `pulumi` on PATH that is not ours."""
    entries = [
        entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry and Path(entry).resolve() != _FOLDER
    ]
    return shutil.which("pulumi", path=os.pathsep.join(entries))


def main(arguments: Sequence[str]) -> int:
    """Exit code of the real Pulumi, 127 where there is none."""
    pulumi = real_pulumi()
    if pulumi is None:
        print('pulumi: not on PATH; run `./pidea setup`, then `eval "$(./pidea env)"` again', file=sys.stderr)
        return 127
    before = saltless_files(project_of(Path.cwd()))
    # Ctrl-C reaches Pulumi from the terminal itself; we only have to outlive it.
    signal.signal(signal.SIGINT, lambda *_: None)
    process = subprocess.Popen([pulumi, *arguments])
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    finally:
        take_salt_out(before)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
