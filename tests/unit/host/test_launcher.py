"""The launcher in a checkout of its own: it makes its environment, keeps it, repairs it, and explains what it lacks."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops import paths
from tests.unit.host import wheels

TIMEOUT_SECONDS = 240
PREPARING = "Preparing Python environment"
PROGRAM = "import sys, example; print(example.VERSION, sys.argv[1:])\n"


class Checkout:
    """A copy of the launcher with a tiny program behind it, and wheels in a folder instead of an index."""

    def __init__(self, folder: Path, index: Path, cache: Path, uv: str) -> None:
        self.folder, self.index, self._uv = folder, index, uv
        (folder / "ops").mkdir(parents=True)
        (folder / "ops/__main__.py").write_text(PROGRAM)
        shutil.copy(paths.REPO / "pidea", folder / "pidea")
        self.require("1.0")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(cache),
            "PIDEA_PYTHON": sys.executable,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(index),
        }

    def require(self, version: str) -> None:
        line = wheels.small("example", version, self.index)
        (self.folder / "requirements.txt").write_text(f"# a lock\n{line}{self._uv}    # via us\n")

    def start(self, *arguments: str, **changed: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.folder / "pidea"), *arguments],
            env=without_empty({**self.environment, **changed}),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **changed: str) -> tuple[int, str, str]:
        with self.start(*arguments, **changed) as process:
            out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        return process.returncode, out, err


def without_empty(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if value}


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("index")
    return folder, wheels.repack("uv", folder)


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests that are not about an empty cache, because making uv's folder takes seconds."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def checkout(tmp_path: Path, index: tuple[Path, str], warm_cache: Path) -> Checkout:
    return Checkout(tmp_path / "check out", index[0], warm_cache, index[1])


def test_it_makes_its_environment_once_and_hands_over(checkout: Checkout) -> None:
    code, out, err = checkout.run("one", "two words", "--three")
    assert (code, out) == (0, "1.0 ['one', 'two words', '--three']\n"), err
    assert PREPARING in err
    assert checkout.run("again") == (0, "1.0 ['again']\n", "")


def test_a_changed_lock_is_installed(checkout: Checkout) -> None:
    assert checkout.run()[1] == "1.0 []\n"
    checkout.require("2.0")
    code, out, err = checkout.run()
    assert (code, out) == (0, "2.0 []\n"), err
    assert PREPARING in err


def test_it_works_through_a_link_and_passes_the_exit_code_on(checkout: Checkout, tmp_path: Path) -> None:
    (checkout.folder / "ops/__main__.py").write_text("raise SystemExit(7)\n")
    (tmp_path / "link").symlink_to(checkout.folder / "pidea")
    done = subprocess.run(
        [tmp_path / "link"], env=checkout.environment, check=False, timeout=TIMEOUT_SECONDS, capture_output=True
    )
    assert done.returncode == 7, done.stderr


@pytest.mark.parametrize("damage", ["half-made", "python is gone"])
def test_a_broken_environment_is_made_again(checkout: Checkout, damage: str) -> None:
    if damage == "half-made":
        (checkout.folder / ".venv/bin").mkdir(parents=True)
        script(checkout.folder / ".venv/bin/python", "echo broken; exit 1")
    else:
        assert checkout.run()[0] == 0
        (checkout.folder / ".venv/bin/python").unlink()
    code, out, err = checkout.run()
    assert (code, out) == (0, "1.0 []\n"), err


def test_two_at_once_make_one_environment(checkout: Checkout) -> None:
    both = [checkout.start("a"), checkout.start("b")]
    results = [process.communicate(timeout=TIMEOUT_SECONDS) for process in both]
    assert [out for out, _ in results] == ["1.0 ['a']\n", "1.0 ['b']\n"], results
    assert sum(PREPARING in err for _, err in results) == 1


def test_interrupted_it_leaves_nothing_that_stands_in_the_way(checkout: Checkout, tmp_path: Path) -> None:
    cache, reached = tmp_path / "empty", tmp_path / "reached"
    slow = script(
        tmp_path / "python",
        f'if [ "$2" = venv ]; then mkdir -p "$3"; : >"{reached}"; exec sleep 600; fi\nexec "{sys.executable}" "$@"',
    )
    with checkout.start(PIDEA_PYTHON=str(slow), XDG_CACHE_HOME=str(cache)) as process:
        while not reached.exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130
    assert "interrupted. Run the same command again" in err
    assert list((cache / "pidea").iterdir()) == []
    code, out, err = checkout.run(XDG_CACHE_HOME=str(cache))
    assert (code, out) == (0, "1.0 []\n"), err


def test_python_is_too_old(checkout: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        script(folder / name, "echo 3.9" if name == "python3" else "exit 127")
    code, out, err = checkout.run(PIDEA_PYTHON="", PATH=f"{folder}:{os.environ['PATH']}")
    assert (code, out) == (3, "")
    assert "Python 3.11 or newer is needed; python3 is 3.9.\n" in err
    assert "apt-get install python3 python3-venv" in err
    assert not (checkout.folder / ".venv").exists()


def test_a_newer_python_beside_the_old_one_is_taken(checkout: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder / "python3", "echo 3.9")
    script(folder / "python3.13", "exit 127")  # a version manager's shim without that version
    script(folder / "python3.12", f'exec "{sys.executable}" "$@"')
    code, out, err = checkout.run(PIDEA_PYTHON="", PATH=f"{folder}:{os.environ['PATH']}")
    assert (code, out) == (0, "1.0 []\n"), err


def test_no_python(checkout: Checkout, tmp_path: Path) -> None:
    for name in ("bash", "dirname", "readlink", "mkdir", "rm", "sed"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    code, _, err = checkout.run(PIDEA_PYTHON="", PATH=str(tmp_path))
    assert code == 3
    assert "no python3 is on PATH" in err


def test_the_python_that_was_asked_for_does_not_run(checkout: Checkout, tmp_path: Path) -> None:
    code, _, err = checkout.run(PIDEA_PYTHON=str(tmp_path / "none"))
    assert code == 3
    assert f"PIDEA_PYTHON is {tmp_path}/none, which cannot be run.\n" in err


def test_python_without_venv(checkout: Checkout, tmp_path: Path) -> None:
    """Debian leaves out ensurepip unless python3-venv is installed."""
    (tmp_path / "ensurepip.py").write_text("raise ImportError('no ensurepip')\n")
    bare = script(tmp_path / "python", f'PYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"')
    code, _, err = checkout.run(PIDEA_PYTHON=str(bare), XDG_CACHE_HOME=str(tmp_path / "empty"))
    assert code == 3
    assert "its venv or ensurepip module is missing" in err
    assert "apt-get install python3-venv" in err
    assert "Traceback" not in err


def test_a_package_that_is_not_the_one_that_was_locked(checkout: Checkout) -> None:
    lock = checkout.folder / "requirements.txt"
    locked = lock.read_text().partition("sha256:")
    lock.write_text("".join([*locked[:2], "0" * 64, locked[2][64:]]))
    code, out, err = checkout.run()
    assert (code, out) == (3, "")
    assert "The packages of requirements.txt could not be installed" in err
    assert checkout.run()[0] == 3  # and it does not count as made


def test_the_index_of_pips_configuration_is_used(checkout: Checkout, tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    checkout.require("3.0")
    (tmp_path / "simple").mkdir()
    for name in ("example", "uv"):
        (tmp_path / "simple" / name).symlink_to(checkout.index)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = http://127.0.0.1:{server.server_port}/simple\n")
        code, out, err = checkout.run(PIP_CONFIG_FILE=str(tmp_path / "pip.conf"), PIP_NO_INDEX="", PIP_FIND_LINKS="")
        server.shutdown()
        thread.join()
    assert (code, out) == (0, "3.0 []\n"), err
    assert "/simple/example/" in asked


def test_no_index_answers(checkout: Checkout, tmp_path: Path) -> None:
    code, _, err = checkout.run(PIP_FIND_LINKS=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "empty"))
    assert code == 3
    assert "could not be installed from the package index" in err
    assert "Check the network and PIP_INDEX_URL" in err
    assert list((tmp_path / "empty/pidea").iterdir()) == []
