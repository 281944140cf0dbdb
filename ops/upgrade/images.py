"""The images of a change are built before anybody is asked: what is in them is known then, and nothing is touched.

By their names, files and arguments in the plan. Pulumi builds them once more, and finds the engine's cache where both
use the same builder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from infra import names
from infra.plan.images import build_files
from infra.spec import DeploymentPlan, ImageSpec
from ops.errors import HostError
from ops.host.endpoint import Endpoint

_BUILD_SECONDS = 1800
_ANSWER_SECONDS = 60
_VERSION = {
    names.POSTGRES: (("postgres", "--version"), re.compile(r"\(PostgreSQL\) ([0-9.]+)")),
    names.REDIS: (("redis-server", "--version"), re.compile(r" v=([0-9.]+)")),
}
# In colour, between other lines. Debian's own number of a version, behind the dash, is not for the settings.
_NOT_OFFERED = re.compile(r"Debian does not offer [^\x1b\n]*")
_REVISION = re.compile(r"-[^, ]*")


def build(
    plan: DeploymentPlan, wanted: Collection[str], base_image: str, engine: Endpoint, say: Callable[[str], None]
) -> None:
    """Builds these images of the plan and what they start from, where they are not there. Raises HostError."""
    specs = {spec.name: spec for spec in plan.images}
    needed: list[ImageSpec] = []
    waiting = list(wanted)
    while waiting:
        spec = specs[waiting.pop()]
        if spec in needed:
            needed.remove(spec)
        needed.insert(0, spec)
        if spec.base:
            waiting.append(spec.base)
    for spec in needed:
        if not _is_there(spec, engine):
            say(f"building the image {spec.name}")
            _build(spec, name_of(specs[spec.base]) if spec.base else base_image, engine)


def name_of(spec: ImageSpec) -> str:
    """What an image is called on the engine that builds it."""
    return f"pidea/{spec.name}:{spec.digest}"


def version_in(image: str, server: str, engine: Endpoint) -> str:
    """The version of the server in an image: `15.20`. Raises HostError."""
    command, pattern = _VERSION[server]
    done = _docker(engine, "run", "--rm", "--network=none", "--entrypoint=", image, *command, seconds=_ANSWER_SECONDS)
    found = pattern.search(done.stdout.decode())
    if done.returncode or found is None:
        raise HostError(f"The image {image} does not say its version: {done.stderr.decode().strip()[-300:]}")
    return found[1]


def _is_there(spec: ImageSpec, engine: Endpoint) -> bool:
    return _docker(engine, "image", "inspect", name_of(spec), seconds=_ANSWER_SECONDS).returncode == 0


def _build(spec: ImageSpec, base: str, engine: Endpoint) -> None:
    given = [f"--build-arg={key}={value}" for key, value in {**spec.build_args, "BASE": base}.items()]
    with tempfile.TemporaryDirectory(prefix="pidea-image-") as folder:
        for inside, path in build_files(spec.name):
            there = Path(folder) / inside
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there)
        command = ["build", "--network=host", "--force-rm", *given, "--tag", name_of(spec), folder]
        done = _docker(engine, *command, seconds=_BUILD_SECONDS)
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        refused = _NOT_OFFERED.search(said)
        if refused:
            offered = _REVISION.sub("", refused[0].partition(" it offers: ")[2]) or "none of that name"
            raise HostError(
                f"Debian does not offer {spec.name.removesuffix('-base')} in the version that the settings name; it "
                f"offers {offered}. Nothing was touched; name one of them, or the major version alone."
            )
        raise HostError(f"The image {spec.name} could not be built; nothing was touched: {said.strip()[-600:]}")


def _docker(engine: Endpoint, *arguments: str, seconds: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **engine.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=seconds,
    )
