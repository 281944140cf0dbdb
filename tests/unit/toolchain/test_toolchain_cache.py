"""The cache publishes an artifact whole, once, under the digest of what went into it."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.toolchain import cache

REPOSITORY = Path(__file__).parents[3]


def never() -> None:
    raise AssertionError("nobody else is at it")


def write(text: str) -> Callable[[Path], None]:
    def make(into: Path) -> None:
        (into / "file").write_text(text)

    return make


def test_root_is_below_the_configured_folder(machine: Path) -> None:
    assert cache.root() == machine / "cache/pidea"


@pytest.mark.parametrize("configured", ["", "relative/folder"])
def test_root_is_in_the_home_otherwise(machine: Path, monkeypatch: pytest.MonkeyPatch, configured: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", configured)
    assert cache.root() == machine / "home/.cache/pidea"


def test_digest_changes_with_all_that_went_in(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    (sources / "deep").mkdir(parents=True)
    file = sources / "deep/main.go"
    file.write_text("package main")
    seen = [cache.digest(["1.0", sources])]
    file.write_text("package main // changed")
    seen.append(cache.digest(["1.0", sources]))
    file.rename(sources / "deep/other.go")
    seen.append(cache.digest(["1.0", sources]))
    seen.append(cache.digest(["1.1", sources]))
    seen.append(cache.digest(["1.1", "linux", sources]))
    assert len(set(seen)) == len(seen)
    assert cache.digest(["1.1", "linux", sources]) == seen[-1]


def test_digest_knows_where_one_part_ends() -> None:
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])


def test_digest_ignores_compiled_python(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    before = cache.digest([tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.cpython-311.pyc").write_bytes(b"\0")
    assert cache.digest([tmp_path]) == before


def test_publish_makes_once() -> None:
    first = cache.publish("tool", "0123", write("first"), waiting=never)
    second = cache.publish("tool", "0123", write("second"), waiting=never)
    assert first == second == cache.artifact("tool", "0123")
    assert (first / "file").read_text() == "first"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_making_leaves_nothing(error: type[BaseException]) -> None:
    def make(into: Path) -> None:
        (into / "half").write_text("")
        raise error

    with pytest.raises(error):
        cache.publish("tool", "0123", make, waiting=never)
    assert list(cache.artifact("tool", "0123").parent.iterdir()) == []
    made = cache.publish("tool", "0123", write("whole"), waiting=never)
    assert [path.name for path in made.iterdir()] == ["file"]


def test_remains_of_a_killed_process_are_removed(python: str) -> None:
    script = (
        "import os, signal\nfrom ops.toolchain import cache\n"
        "def make(into):\n    (into / 'half').write_text('')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "cache.publish('tool', '0123', make, waiting=lambda: None)\n"
    )
    assert subprocess.run([python, "-c", script], cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    folder = cache.artifact("tool", "0123").parent
    assert len(list(folder.iterdir())) == 1
    cache.publish("tool", "0123", write("whole"), waiting=never)
    assert [path.name for path in folder.iterdir()] == ["0123"]


def test_two_processes_make_one(python: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom ops.toolchain import cache\n"
        "def make(into):\n"
        "    with Path(sys.argv[1]).open('a') as log:\n        log.write('made\\n')\n"
        "    time.sleep(0.5)\n"
        "print(cache.publish('tool', '0123', make, waiting=lambda: None))\n"
    )
    command = [python, "-c", script, str(log)]
    runs = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert set(answers) == {f"{cache.artifact('tool', '0123')}\n"}
    assert log.read_text() == "made\n"


def test_waiting_for_another_can_be_given_up(python: str) -> None:
    script = (
        "import sys\nfrom ops.toolchain import cache\n"
        "def make(into):\n    print('making', flush=True)\n    sys.stdin.read()\n"
        "cache.publish('tool', '0123', make, waiting=lambda: None)\n"
    )

    def give_up() -> None:
        raise KeyboardInterrupt

    command, pipe = [python, "-c", script], subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "making\n"
        with pytest.raises(KeyboardInterrupt):
            cache.publish("tool", "0123", write("ours"), waiting=give_up)
        other.communicate()
    assert not (cache.artifact("tool", "0123") / "file").exists()


def test_prune_keeps_only_what_is_used() -> None:
    old = cache.publish("tool", "0123", write("old"), waiting=never)
    new = cache.publish("tool", "4567", write("new"), waiting=never)
    built = cache.root() / "go/build/00"
    built.mkdir(parents=True)
    (built / "object").write_bytes(b"x" * 1000)
    freed = cache.prune([new / "bin"])
    assert freed > 1000
    assert new.exists()
    assert not old.exists()
    assert not built.exists()


def test_prune_of_an_empty_cache(machine: Path) -> None:
    assert cache.prune([]) == 0
    assert list((machine / "cache").iterdir()) == []
