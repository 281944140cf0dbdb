"""Each way in which the engine cannot be used is told apart, and the sentence says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops import paths
from ops.errors import HostError
from ops.host import daemon, endpoint, engine
from ops.host.endpoint import Endpoint
from ops.host.engine import State

NOBODY = 65534
LOOK_AS_NOBODY = f"""
import os
from ops.host import engine
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
finding = engine.look()
print(finding.state.name); print(finding.problem)
"""
FakeEngine = Callable[[dict[str, tuple[int, object]]], Endpoint]


def version(api: str) -> dict[str, tuple[int, object]]:
    return {"/version": (200, {"Version": "x.y", "ApiVersion": api})}


def test_an_engine_that_is_new_enough_is_used(fake_engine: FakeEngine) -> None:
    where = fake_engine(version("1.40"))
    found = engine.look(where).engine
    assert found == engine.Engine(where, "x.y", "1.40")
    assert found.environment == {"DOCKER_HOST": where.url}


def test_an_engine_that_is_too_old(fake_engine: FakeEngine) -> None:
    finding = engine.look(fake_engine(version("1.39")))
    assert finding.state is State.TOO_OLD
    assert "API 1.39, and 1.40 or newer is needed. Update Docker" in finding.problem


def test_versions_are_compared_as_numbers(fake_engine: FakeEngine) -> None:
    assert engine.look(fake_engine(version("1.100"))).state is State.RUNNING


@pytest.mark.parametrize("answer", [(200, b"hello"), (500, {"message": "broken"})])
def test_something_else_behind_the_socket(fake_engine: FakeEngine, answer: tuple[int, object]) -> None:
    finding = engine.look(fake_engine({"/version": answer}))
    assert finding.state is State.UNREACHABLE
    assert "does not answer at unix://" in finding.problem


def test_docker_host_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert engine.find() is None
    with pytest.raises(HostError, match=r"none\.sock \(DOCKER_HOST\): No such file.*Start that engine or correct"):
        engine.require()


def test_an_engine_of_somebody_else_is_never_installed_or_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    said: list[str] = []
    with pytest.raises(HostError, match=r"does not answer at tcp://127\.0\.0\.1:1"):
        engine.ensure(lambda what, message: said.append(message))
    assert said == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_permission_on_the_socket(socket_folder: Path) -> None:
    path = socket_folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o600)
        done = subprocess.run(
            [sys.executable, "-c", LOOK_AS_NOBODY],
            env={**os.environ, "DOCKER_HOST": f"unix://{path}"},
            cwd=paths.REPO,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    state, problem = done.stdout.splitlines()
    assert state == "NO_PERMISSION"
    assert f"You may not use Docker's socket {path}. Add yourself to its group" in problem


@pytest.fixture
def default_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a folder of the test's the place where this machine's own engine would listen."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(daemon, "SEARCH_PATH", str(tmp_path))
    path = tmp_path / "s"
    monkeypatch.setattr(endpoint, "DEFAULT_SOCKET", path)
    return path


def look_at_default(path: Path) -> engine.Finding:
    return engine.look(Endpoint(f"unix://{path}", "default"))


def test_absent(default_socket: Path) -> None:
    finding = look_at_default(default_socket)
    assert finding.state is State.ABSENT
    assert finding.problem.startswith("Docker is not installed. Run ./pidea setup as root")


def test_stopped(default_socket: Path) -> None:
    (default_socket.parent / "dockerd").write_text("#!/bin/sh\n")
    (default_socket.parent / "dockerd").chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(default_socket))  # left behind: nobody listens
    finding = look_at_default(default_socket)
    assert finding.state is State.STOPPED
    assert "(Connection refused). Run ./pidea setup" in finding.problem


def write_context(config: Path, name: str, host: str) -> None:
    folder = config / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host}}})
    )


def test_contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}))
    write_context(tmp_path, "far", "tcp://127.0.0.1:2")
    write_context(tmp_path, "near", "unix:///run/near.sock")
    assert endpoint.resolve({}).url == "tcp://127.0.0.1:2"
    near = endpoint.resolve({"DOCKER_CONTEXT": "near"})
    assert near.socket == Path("/run/near.sock")
    assert near.environment == {"DOCKER_HOST": "unix:///run/near.sock"}
    assert endpoint.resolve({"DOCKER_CONTEXT": "near", "DOCKER_HOST": "unix:///x"}).url == "unix:///x"
    with pytest.raises(HostError, match="DOCKER_CONTEXT names 'gone', which is not there"):
        endpoint.resolve({"DOCKER_CONTEXT": "gone"})
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "gone"}))
    with pytest.raises(HostError, match="configuration names a context, which is not there"):
        endpoint.resolve({})


def test_a_damaged_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    write_context(tmp_path, "torn", "unix:///x")
    next(tmp_path.glob("contexts/meta/*/meta.json")).write_text('{"Name": ')
    with pytest.raises(HostError, match=r"contexts cannot be read.*or set DOCKER_HOST"):
        endpoint.resolve({"DOCKER_CONTEXT": "torn"})


def test_without_contexts_the_default_socket_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    found = endpoint.resolve({})
    assert (found.url, found.is_default) == ("unix:///var/run/docker.sock", True)


def test_tls_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"does not hold ca\.pem"):
        endpoint.resolve(
            {"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
        )
