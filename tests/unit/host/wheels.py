"""Wheels made on the spot, so that the launcher's tests need no package index."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib.metadata import distribution
from pathlib import Path


def repack(name: str, folder: Path) -> str:
    """Makes a wheel of an installed package; returns its line for requirements.txt, with the hash."""
    installed = distribution(name)
    tag = next(line[5:] for line in (installed.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: "))
    info = f"{name}-{installed.version}.dist-info"
    # Where an installer puts them decides the name inside the wheel: programs come from its data folder.
    inside = {}
    for file in installed.files or []:
        if file.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json") or "__pycache__" in file.parts:
            continue
        path = f"{name}-{installed.version}.data/scripts/{file.name}" if file.parts[0] == ".." else str(file)
        inside[path] = Path(str(file.locate())).read_bytes()
    return write(folder, name, installed.version, tag, info, inside)


def small(name: str, version: str, folder: Path) -> str:
    """Makes a wheel with one module that tells its version; returns its line for requirements.txt."""
    info = f"{name}-{version}.dist-info"
    inside = {
        f"{name}.py": f"VERSION = {version!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    return write(folder, name, version, "py3-none-any", info, inside)


def write(folder: Path, name: str, version: str, tag: str, info: str, inside: dict[str, bytes]) -> str:
    """Writes the wheel with its RECORD, uncompressed."""
    path = folder / f"{name}-{version}-{tag}.whl"
    record = "".join(f"{each},{_record_hash(content)},{len(content)}\n" for each, content in inside.items())
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in {**inside, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            member = zipfile.ZipInfo(each)
            member.external_attr = (0o100755 if "/scripts/" in each else 0o100644) << 16
            archive.writestr(member, content)
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _record_hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
