"""Each tool is the user's own where that will do, else the cache's, else downloaded, else built."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.toolchain import ToolchainError, cache, ensure, find, provide
from ops.toolchain.artifact import Artifact, Job
from ops.toolchain.errors import ChecksumError
from ops.toolchain.release import Release
from ops.toolchain.tools import Tool, all_tools, release_artifact
from tests.unit.toolchain.conftest import Executable, Site
from tests.unit.toolchain.test_toolchain_download import ARCHIVE, SUMS, archive, listing

REPOSITORY = Path(__file__).parents[3]


def ignore(tool: str, step: str) -> None:
    """Progress that no test looks at."""


@pytest.fixture
def own_pulumi(machine: Path, executable: Executable) -> Path:
    """An official CLI on PATH, version 3.231.0."""
    executable(machine / "bin/pulumi", "echo v3.231.0")
    for name in ("pulumi-language-python", "pulumi-resource-pulumi-python"):
        executable(machine / "bin" / name, "exit 1")
    return machine / "bin"


@pytest.fixture
def own_plugin(machine: Path, executable: Executable) -> Path:
    """The official docker plugin where `pulumi plugin install` puts it."""
    return executable(machine / "home/.pulumi/plugins/resource-docker-v5.3.1/pulumi-resource-docker", "exit 1")


def test_nothing_is_found_on_an_empty_machine(machine: Path) -> None:
    assert find() is None
    assert list((machine / "cache").iterdir()) == []


def test_the_users_own_tools_are_found(own_pulumi: Path, own_plugin: Path) -> None:
    found = find()
    assert found is not None
    assert found.methods == {"pulumi": "path", "docker": "path"}
    assert found.path_entries == (own_pulumi,)
    assert found.pulumi == own_pulumi / "pulumi"
    assert found.jaeger is None
    assert "PULUMI_HOME" not in found.env
    assert "PULUMI_IGNORE_AMBIENT_PLUGINS" not in found.env


def test_ensure_takes_the_users_own_tools_without_a_word(own_pulumi: Path, own_plugin: Path) -> None:
    said: list[str] = []
    assert ensure(lambda tool, step: said.append(step), tools=()) == find()
    assert said == []


@pytest.mark.parametrize("version", ["v3.229.0", "v2.9.0", "v4.0.0", "nonsense"])
def test_a_cli_of_another_version_is_not_taken(
    own_pulumi: Path, own_plugin: Path, executable: Executable, version: str
) -> None:
    executable(own_pulumi / "pulumi", f"echo {version}")
    assert find() is None


@pytest.mark.parametrize("name", ["pulumi-language-python", "pulumi-resource-pulumi-python"])
def test_a_cli_without_the_python_host_is_not_taken(own_pulumi: Path, own_plugin: Path, name: str) -> None:
    (own_pulumi / name).unlink()
    assert find() is None


def test_a_linked_cli_has_its_host_beside_the_real_file(machine: Path, own_pulumi: Path, own_plugin: Path) -> None:
    own_pulumi.rename(machine / "opt")
    (machine / "bin").mkdir()
    (machine / "bin/pulumi").symlink_to(machine / "opt/pulumi")
    found = find()
    assert found is not None
    assert found.pulumi == machine / "bin/pulumi"


@pytest.mark.parametrize("version", ["5.1.2", "6.0.0"])
def test_an_installed_plugin_of_another_version_is_not_taken(own_pulumi: Path, own_plugin: Path, version: str) -> None:
    own_plugin.parent.rename(own_plugin.parent.with_name(f"resource-docker-v{version}"))
    assert find() is None


def test_an_old_plugin_on_path_is_in_the_way(own_pulumi: Path, own_plugin: Path, executable: Executable) -> None:
    executable(own_pulumi / "pulumi-resource-docker", "echo 4.5.8")
    with pytest.raises(ToolchainError, match=r"is version 4\.5\.8.*Remove it from PATH, or upgrade it"):
        find()


def test_a_new_plugin_on_path_is_taken(own_pulumi: Path, executable: Executable) -> None:
    executable(own_pulumi / "pulumi-resource-docker", "echo 5.2.0")
    found = find()
    assert found is not None
    assert found.methods["docker"] == "path"


def test_the_caches_tools_on_path_are_not_the_users(
    own_pulumi: Path, own_plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = cache.root() / "toolchain/pulumi/old/bin"
    old.parent.mkdir(parents=True)
    own_pulumi.rename(old)
    monkeypatch.setenv("PATH", f"{old}{os.pathsep}/usr/bin")
    assert find() is None


def test_cached_tools_are_found_with_the_plugin_as_home_and_the_users_login(
    machine: Path, own_pulumi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = all_tools()["docker"].source()
    home = cache.publish("docker", artifact.digest, lambda into: None, waiting=lambda: None)
    found = find()
    assert found is not None
    assert found.methods == {"pulumi": "path", "docker": "source"}
    assert found.env["PULUMI_HOME"] == str(home)
    assert found.env["PULUMI_CREDENTIALS_PATH"] == str(machine / "home/.pulumi")
    # In a shell that has these set already, nothing changes.
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    assert find() == found


def test_unknown_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIDEA_TOOLCHAIN", "magic")
    with pytest.raises(ToolchainError, match="must be one of path, download, source, is 'magic'"):
        find()


def test_path_alone_on_a_machine_without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIDEA_TOOLCHAIN", "path")
    with pytest.raises(ToolchainError, match="PIDEA_TOOLCHAIN allows no way to get it"):
        ensure(ignore)


def test_unknown_tool() -> None:
    with pytest.raises(ToolchainError, match="There is no tool terraform; the tools are pulumi, docker, jaeger"):
        ensure(ignore, tools=["terraform"])


class Example(Tool):
    """A tool with a release on the test's own site, and a source that is built in no time."""

    def __init__(self, name: str, release: Release) -> None:
        self.name = name
        self._release = release
        self.built = False

    def on_path(self) -> None:
        """Never."""

    def release(self) -> Artifact:
        return release_artifact(self.name, self._release, files="bin", entry="bin")

    def source(self) -> Artifact:
        def make(into: Path, job: Job) -> None:
            self.built = True

        return Artifact(self.name, "0123", make)


@pytest.fixture
def examples(site: Site, monkeypatch: pytest.MonkeyPatch) -> dict[str, Example]:
    """The two required tools, as examples with good releases."""
    content = archive(pulumi=b"#!/bin/sh\n")
    site.files = {ARCHIVE: content, SUMS: listing(content)}
    release = Release(site.url + ARCHIVE, site.url + SUMS)
    made = {name: Example(name, release) for name in ("pulumi", "docker")}
    monkeypatch.setattr(provide, "all_tools", lambda: made)
    return made


def test_downloads_come_first(examples: dict[str, Example]) -> None:
    made = ensure(ignore, tools=())
    assert made.methods == {"pulumi": "download", "docker": "download"}
    assert made.pulumi.read_bytes() == b"#!/bin/sh\n"
    assert not any(tool.built for tool in examples.values())


def test_an_unreachable_download_falls_through_to_the_source(examples: dict[str, Example], closed_url: str) -> None:
    examples["docker"]._release = Release(closed_url + ARCHIVE, closed_url + SUMS)
    said: list[tuple[str, str]] = []
    made = ensure(lambda tool, step: said.append((tool, step)), tools=())
    assert made.methods == {"pulumi": "download", "docker": "source"}
    # Never silently.
    assert any(tool == "docker" and "cannot be downloaded" in step for tool, step in said)


def test_a_wrong_checksum_ends_it(examples: dict[str, Example], site: Site) -> None:
    site.files[ARCHIVE] = archive(pulumi=b"#!/bin/evil\n")
    with pytest.raises(ChecksumError):
        ensure(ignore, tools=())
    assert not any(tool.built for tool in examples.values())
    assert find() is None


def test_the_source_can_be_forced(examples: dict[str, Example], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIDEA_TOOLCHAIN", "source")
    assert set(ensure(ignore, tools=()).methods.values()) == {"source"}


def test_the_download_can_be_forced(
    examples: dict[str, Example], closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples["docker"]._release = Release(closed_url + ARCHIVE, closed_url + SUMS)
    monkeypatch.setenv("PIDEA_TOOLCHAIN", "download")
    with pytest.raises(ToolchainError, match=r"docker cannot be provided.*cannot be downloaded"):
        ensure(ignore, tools=())


@pytest.mark.parametrize(("started", "interrupts"), [(2, ""), (1, "os.kill(os.getpid(), signal.SIGINT)")])
def test_interrupt_ends_the_build_and_leaves_nothing(machine: Path, started: int, interrupts: str) -> None:
    """While both tools are built, and while only the first is and the second is yet to be begun."""
    alive = machine / "alive"
    os.mkfifo(alive)
    # A process of its own, as a user's Ctrl-C finds it: the build has the pipe open as long as it lives.
    script = f"""
import os, signal, time
from pathlib import Path
from ops.toolchain import ensure, provide
from ops.toolchain.artifact import Artifact

class Slow(provide.Tool):
    def __init__(self, name): self.name = name
    def on_path(self): return None
    def release(self): return None
    def source(self):
        def make(into, job):
            command = ["sh", "-c", "exec 3>{alive}; echo up >&3; touch {machine}/begun; sleep 600 & wait"]
            job.processes.run(command, cwd=into, env=os.environ, log=into / "log")
        return Artifact(self.name, "0123", make)

class Interrupting(Slow):
    def __init__(self, name): self.asked = name
    @property
    def name(self):
        while not Path("{machine}/begun").exists() and provide.threading.active_count() > 1:
            time.sleep(0.01)
        if provide.threading.active_count() > 1:
            {interrupts or "pass"}
        return self.asked

provide.all_tools = lambda: {{"pulumi": Slow("pulumi"), "docker": Interrupting("docker")}}
try:
    ensure(lambda tool, step: None, tools=())
except KeyboardInterrupt:
    raise SystemExit(130)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY) as run, alive.open() as pipe:
        try:
            assert [pipe.readline() for _ in range(started)] == ["up\n"] * started
            if not interrupts:
                run.send_signal(signal.SIGINT)
            assert run.wait(60) == 130
            assert pipe.read() == ""
        finally:
            run.kill()
    assert list(cache.root().glob("toolchain/*/*")) == []
