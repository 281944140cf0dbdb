"""The tools: where each is found, published and built from."""

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from ops.toolchain import cache, host, platforms
from ops.toolchain.artifact import Artifact, Job
from ops.toolchain.errors import ToolchainError
from ops.toolchain.gobuild import Builder, GoModule
from ops.toolchain.platforms import Platform
from ops.toolchain.release import Release
from ops.toolchain.versions import Range, parse


class Tool(ABC):
    """One tool; each of the three ways to get it ends in a folder that its docstring describes."""

    name: str

    @abstractmethod
    def on_path(self) -> Path | None:
        """The user's own installation, if it is new enough. Changes nothing."""

    @abstractmethod
    def release(self) -> Artifact | None:
        """The publisher's release, where its checksums are published in a form that can be checked."""

    @abstractmethod
    def source(self) -> Artifact:
        """The tool built on this machine."""


class Pulumi(Tool):
    """The Pulumi CLI with the Python language host beside it: the folder to put on PATH."""

    name = "pulumi"
    version = "3.230.0"
    accepted = Range((3, 230, 0))
    # What the CLI starts for a Python program and for a dynamic provider; looked for beside it, and on PATH.
    _companions = ("pulumi-language-python", "pulumi-resource-pulumi-python")

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def on_path(self) -> Path | None:
        search = _foreign_path()
        found = shutil.which("pulumi", path=search)
        if not found:
            return None
        beside = Path(found).resolve().parent
        if not all((beside / name).exists() or shutil.which(name, path=search) for name in self._companions):
            return None
        answer = subprocess.run([found, "version"], capture_output=True, text=True, check=False, env=_quiet())
        return Path(found).parent if parse(answer.stdout) in self.accepted else None

    def release(self) -> Artifact:
        arch = {"amd64": "x64"}.get(self._platform.arch, self._platform.arch)
        archive = f"pulumi-v{self.version}-{self._platform.os}-{arch}.tar.gz"
        return release_artifact(
            self.name,
            Release(
                f"https://get.pulumi.com/releases/sdk/{archive}",
                f"https://github.com/pulumi/pulumi/releases/download/v{self.version}/SHA512SUMS",
            ),
            entry="bin",
            files="bin",
        )

    def source(self) -> Artifact:
        compiled = self._compiled()

        def assemble(into: Path, job: Job) -> None:
            host.assemble(compiled.ensure(job) / "pulumi", into)

        # Two artifacts: a change of the language host must not compile the CLI again.
        return Artifact(self.name, cache.digest([compiled.digest, *host.FILES]), assemble, entry="bin")

    def _compiled(self) -> Artifact:
        stamp = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{self.version}"
        module = GoModule("pulumi", self._platform, ldflags=f"-s -w {stamp}")
        return _command_artifact("pulumi-cli", module, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", "pulumi")


class DockerPlugin(Tool):
    """The docker resource plugin: the folder for PULUMI_HOME, with the plugin at the place for its version.

    Not on PATH: for a plugin that it finds there the CLI prints a warning at every run.
    """

    name = "docker"
    version = "5.2.0"
    accepted = Range((5, 2, 0))
    _binary = "pulumi-resource-docker"
    _place = f"plugins/resource-docker-v{version}"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def on_path(self) -> Path | None:
        ambient = shutil.which(self._binary, path=_foreign_path())
        if ambient:
            answer = subprocess.run([ambient, "--version"], capture_output=True, text=True, check=False)
            if parse(answer.stdout) not in self.accepted:
                # The CLI takes it before any other, so going on would end in errors that nobody understands.
                raise ToolchainError(
                    f"{ambient} is version {answer.stdout.strip() or 'unknown'}, and Pulumi takes it before any other; "
                    f"this project needs {self.accepted}. Remove it from PATH, or upgrade it."
                )
            return user_home()
        installed = user_home() / "plugins"
        for folder in installed.glob("resource-docker-v*"):
            if parse(folder.name) in self.accepted and (folder / self._binary).exists():
                return user_home()
        return None

    def release(self) -> Artifact:
        archive = f"{self._binary}-v{self.version}-{self._platform}.tar.gz"
        releases = "https://github.com/pulumi/pulumi-docker/releases/download"
        return release_artifact(
            self.name,
            Release(
                f"https://get.pulumi.com/releases/plugins/{archive}",
                f"{releases}/v{self.version}/pulumi-docker_{self.version}_checksums.txt",
            ),
            files=self._place,
        )

    def source(self) -> Artifact:
        # no_compose: the upstream provider's compose resource is not in the SDK, and doubles the build.
        module = GoModule("docker-provider", self._platform, tags="no_compose,grpcnotrace")

        def make(into: Path, job: Job) -> None:
            work = into / ".work"
            builder = Builder(module, work, job)
            schema = builder.folder / "plugin/schema.json"
            # Embedded by the plugin: the package does not load without it.
            schema.touch()
            builder.fetch("./tfgen", "./plugin")
            builder.build("./tfgen", work / "tfgen")
            builder.run(str(work / "tfgen"), "schema", "--out", "plugin", "--skip-docs", "--skip-examples")
            plugin = into / self._place
            plugin.mkdir(parents=True)
            builder.build("./plugin", plugin / self._binary)
            schema.rename(into / "schema.json")
            shutil.rmtree(work)

        return Artifact(self.name, module.digest, make)


class Jaeger(Tool):
    """Jaeger v2 for the engine's containers: the folder that has the `jaeger` binary."""

    name = "jaeger"

    def __init__(self, platform: Platform) -> None:
        # It runs in a container, on Linux whatever this machine is.
        self._platform = Platform("linux", platform.arch)

    def on_path(self) -> None:
        """Never: a binary of the machine may need libraries that the image has not."""

    def release(self) -> None:
        """Never: the published checksums are those of the files in the archive, not of the archive."""

    def source(self) -> Artifact:
        module = GoModule("jaeger", self._platform)
        return _command_artifact(self.name, module, "github.com/jaegertracing/jaeger/cmd/jaeger", "jaeger")


def all_tools() -> dict[str, Tool]:
    """Every tool by its name, in the order in which they are wanted first."""
    platform = platforms.current()
    return {tool.name: tool for tool in (Pulumi(platform), DockerPlugin(platform), Jaeger(platform))}


def user_home() -> Path:
    """Where the user's own Pulumi keeps its plugins and login."""
    configured = os.environ.get("PULUMI_HOME")
    # In a shell that was set up from here it names a folder of the cache.
    own = configured and not Path(configured).is_relative_to(cache.root())
    return Path(configured) if configured and own else Path.home() / ".pulumi"


def _foreign_path() -> str:
    """PATH without the cache: in a shell that was set up from here, our own tools are on it already."""
    ours = cache.root()
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if not Path(entry).is_relative_to(ours))


def _quiet() -> dict[str, str]:
    return {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}


def release_artifact(name: str, release: Release, *, files: str, entry: str = ".") -> Artifact:
    """A release, unpacked into the subfolder `files` of an artifact."""

    def make(into: Path, job: Job) -> None:
        # Here, since it takes longer to load than `find` takes in all.
        from ops.toolchain import download

        job.progress(f"downloading {release.archive_name}")
        folder = into / files
        folder.mkdir(parents=True)
        download.install(release, folder, check=job.processes.check)

    return Artifact(f"{name}-release", cache.digest([release.archive_url]), make, entry)


def _command_artifact(tool: str, module: GoModule, package: str, binary: str) -> Artifact:
    def make(into: Path, job: Job) -> None:
        work = into / ".work"
        builder = Builder(module, work, job)
        builder.fetch(package)
        builder.build(package, into / binary)
        shutil.rmtree(work)

    return Artifact(tool, module.digest, make)
