"""A plan's services as plain containers on bridge networks, without Swarm: with everything else that the plan says."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from infra import names
from infra.plan.images import build_files
from infra.spec import ConfigSpec, ImageSpec, ServiceSpec


def docker(*arguments: str, stdin: str | None = None, check: bool = True, seconds: float = 60) -> str:
    """What docker prints. Raises RuntimeError with docker's words."""
    done = subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def build(spec: ImageSpec, base: str) -> str:
    """The image's name, the one that the stack gives it; built where this machine does not have it yet."""
    name = f"pidea/{spec.name}:{spec.digest}"
    if not docker("image", "ls", "--quiet", name):
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for inside, path in build_files(spec.name):
                archive.add(path, arcname=inside)
        given = [option for key, value in {**spec.build_args, "BASE": base}.items() for option in _given(key, value)]
        command = ["docker", "build", "--quiet", "--network=host", *given, "--tag", name, "-"]
        done = subprocess.run(command, input=context.getvalue(), capture_output=True, timeout=900, check=False)
        if done.returncode:
            raise RuntimeError(f"{name}: {(done.stdout + done.stderr).decode()[-2000:]}")
    return name


def _given(key: str, value: str) -> tuple[str, str]:
    return ("--build-arg", f"{key}={value}")


def create_arguments(
    spec: ServiceSpec,
    *,
    container: str,
    image: str,
    network: str,
    volume: Callable[[str], str],
    configs: Mapping[str, ConfigSpec],
    secrets: Mapping[str, str],
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """Of `docker create`. `volume` gives a volume's name in Docker, `secrets` the content of each by its name.

    Configs and secrets become files in `folder`; `env` changes what the plan says.
    """
    folder.chmod(0o755)
    mounts = [f"--volume={volume(mount.volume)}:{mount.target}" for mount in spec.volumes]
    for wanted in spec.configs:
        config = configs[wanted.config]
        path = _write(folder / f"configs/{config.name}-{config.digest}", config.content, 0o444)
        mounts.append(f"--volume={path}:{wanted.target}:ro")
    for mount in spec.secrets:
        path = folder / f"{spec.name}-{time.monotonic_ns()}/{mount.secret}"
        _write(path, secrets[mount.secret], mount.mode, mount.uid)
        mounts.append(f"--volume={path}:{names.secret_path(mount.target)}:ro")
    mounts += [f"--tmpfs={mount.target}:size={mount.size_bytes},mode={mount.mode:o}" for mount in spec.tmpfs]
    check = spec.healthcheck
    return [
        "create",
        f"--name={container}",
        f"--network={network}",
        *(["--hostname", container] if spec.has_hostname else []),
        *("--read-only", "--cap-drop=ALL", f"--user={spec.user}", f"--stop-signal={spec.stop_signal}"),
        f"--memory={spec.resources.memory_limit_bytes}",
        f"--cpus={min(spec.resources.cpu_limit, 2)}",
        *(f"--env={key}={value}" for key, value in {**spec.env, **(env or {})}.items()),
        f"--health-cmd={' '.join(check.command[1:])}",
        f"--health-interval={check.interval_seconds}s",
        f"--health-timeout={check.timeout_seconds}s",
        f"--health-retries={check.retries}",
        f"--health-start-period={check.start_period_seconds}s",
        *mounts,
        image,
        *spec.command,
    ]


def _write(target: Path, content: str, mode: int, uid: int = 0) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.write_text(content)
        shutil.chown(target, uid, uid)
        target.chmod(mode)
    return target
