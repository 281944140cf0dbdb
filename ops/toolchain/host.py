"""Puts our Python language host beside a Pulumi CLI that was built without one."""

import os
import shutil
from pathlib import Path

_PACKAGE = Path(__file__).parent / "language_host"
_LAUNCHER = _PACKAGE / "launcher.sh"

# All that an assembled folder is made of, the CLI apart.
FILES = (_PACKAGE,)


def assemble(pulumi: Path, into: Path) -> None:
    """Fill a folder: `bin/` with the CLI and the launchers, `lib/` with the host's code.

    The launchers are in the CLI's own folder, since it warns of a language host that it finds elsewhere on PATH. The
    code is a copy, since the folder serves every clone on the machine.
    """
    binaries, library = into / "bin", into / "lib"
    binaries.mkdir()
    try:
        os.link(pulumi, binaries / "pulumi")
    except OSError:
        shutil.copy2(pulumi, binaries / "pulumi")
    for name in ("pulumi-language-python", "pulumi-resource-pulumi-python"):
        launcher = binaries / name
        shutil.copyfile(_LAUNCHER, launcher)
        launcher.chmod(0o755)
    shutil.copytree(_PACKAGE, library / _PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "*.sh"))
    # What `python lib` runs: the package's own __main__ cannot import relatively when it is run by its path.
    (library / "__main__.py").write_text("from language_host.server import main\n\nmain()\n")
