"""The parts of the language host that need no engine."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops.toolchain import host
from ops.toolchain.language_host import install, installed, interpreter
from tests.unit.toolchain.conftest import Executable

LAUNCHER = Path(host.__file__).parent / "language_host/launcher.sh"


def info(root: Path, *, program: str = ".", **options: str) -> SimpleNamespace:
    """A ProgramInfo."""
    return SimpleNamespace(
        root_directory=str(root), program_directory=str(root / program), entry_point=".", options=options
    )


def test_the_virtual_environment_is_relative_to_the_project(tmp_path: Path, executable: Executable) -> None:
    python = executable(tmp_path / "env/bin/python", "exit 0")
    found = interpreter.of(info(tmp_path, program="infra", virtualenv="env"))
    assert found.executable == python
    variables = found.activated({"PATH": "/usr/bin", "PYTHONHOME": "/opt"})
    assert variables == {"PATH": f"{tmp_path}/env/bin:/usr/bin", "VIRTUAL_ENV": f"{tmp_path}/env"}


def test_without_one_the_configured_interpreter_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert interpreter.of(info(tmp_path)).executable == Path(sys.executable)
    monkeypatch.setenv("PULUMI_PYTHON_CMD", "/opt/python")
    assert interpreter.of(info(tmp_path)).executable == Path("/opt/python")


def test_a_missing_one_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(interpreter.InterpreterError, match="Run `pulumi install`"):
        interpreter.of(info(tmp_path, virtualenv="env"))


def test_packages_of_an_interpreter_without_environment(tmp_path: Path) -> None:
    found = interpreter.Interpreter(Path(sys.executable)).packages
    assert (found / "pulumi").is_dir()


def test_install_takes_the_requirements_nearest_to_the_program(tmp_path: Path) -> None:
    program = tmp_path / "project/infra"
    program.mkdir(parents=True)
    (tmp_path / "requirements.txt").touch()
    assert install.requirements_file(program, program.parent) is None
    (program.parent / "requirements.txt").touch()
    assert install.requirements_file(program, program.parent) == program.parent / "requirements.txt"
    (program / "requirements.txt").touch()
    assert install.requirements_file(program, program.parent) == program / "requirements.txt"


def test_install_does_nothing_without_requirements(tmp_path: Path, executable: Executable) -> None:
    executable(tmp_path / "env/bin/python", "exit 0")
    assert list(install.commands(info(tmp_path, virtualenv="env"))) == []


def test_pulumi_packages_are_those_with_a_resource_plugin() -> None:
    packages = interpreter.Interpreter(Path(sys.executable)).packages
    found = {package["name"]: package["version"] for package in installed.pulumi_packages(packages)}
    assert found == {"docker": "5.2.0"}


def test_direct_distributions_are_those_that_none_needs(tmp_path: Path) -> None:
    for name, requires in {
        "App": ["Some_Lib[fast] (>=1)", "extra-only; extra == 'dev'"],
        "some.lib": [],
        "extra-only": [],
    }.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        lines = [f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {r}" for r in requires)]
        (folder / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
    direct = dict(installed.python_distributions(tmp_path, transitive=False))
    assert direct == {"app": "1.0", "extra-only": "1.0"}
    assert set(dict(installed.python_distributions(tmp_path, transitive=True))) == {*direct, "some-lib"}


def test_the_host_does_not_load_the_sdk() -> None:
    # Each start of it would take most of a second more.
    script = (
        "import sys, ops.toolchain.language_host.server\n"
        "print([name for name in sys.modules if name.startswith('pulumi.') and '_pb2' not in name])"
    )
    repository = Path(__file__).parents[3]
    shown = subprocess.run([sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=True)
    loaded = set(eval(shown.stdout))  # noqa: S307 our own list
    assert loaded == {"pulumi.runtime", "pulumi.runtime.proto", "pulumi.runtime.proto.codegen"}


def test_assembled_folder_is_complete(tmp_path: Path, executable: Executable) -> None:
    pulumi = executable(tmp_path / "built/pulumi", "exit 0")
    into = tmp_path / "into"
    into.mkdir()
    host.assemble(pulumi, into)
    assert (into / "bin/pulumi").stat().st_ino == pulumi.stat().st_ino
    # Started by a path through `bin`, as the engine does; without an engine it serves until its parent ends.
    command = [str(into / "bin/pulumi-language-python"), "127.0.0.1:1"]
    env = {"PATH": "/usr/bin:/bin", "PULUMI_PYTHON_CMD": sys.executable}
    with subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        port = started.stdout.readline()
        started.terminate()
        assert started.wait(60) == 0
    assert 1024 <= int(port) <= 65535


@pytest.mark.parametrize("option", ["relative", "absolute"])
def test_dynamic_providers_run_in_the_projects_environment(tmp_path: Path, executable: Executable, option: str) -> None:
    executable(tmp_path / "project/env/bin/python", 'echo "$PWD|$PYTHONPATH|$*"')
    (tmp_path / "project/Pulumi.yaml").touch()
    program = tmp_path / "project/infra"
    program.mkdir()
    launcher = executable(tmp_path / "bin/pulumi-resource-pulumi-python", "")
    launcher.write_bytes(LAUNCHER.read_bytes())
    virtualenv = "env" if option == "relative" else str(tmp_path / "project/env")
    env = {"PATH": "/usr/bin:/bin", "PULUMI_RUNTIME_VIRTUALENV": virtualenv, "PYTHONPATH": "/elsewhere"}
    shown = subprocess.run(
        [launcher, "127.0.0.1:1"], cwd=program, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert shown == f"{program}|{tmp_path}/project:/elsewhere|-u -m pulumi.dynamic 127.0.0.1:1\n"


def test_dynamic_providers_without_their_environment(tmp_path: Path, executable: Executable) -> None:
    launcher = executable(tmp_path / "bin/pulumi-resource-pulumi-python", "")
    launcher.write_bytes(LAUNCHER.read_bytes())
    env = {"PATH": "/usr/bin:/bin", "PULUMI_RUNTIME_VIRTUALENV": "nowhere"}
    done = subprocess.run([launcher], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "There is no virtual environment nowhere; run `pulumi install`.\n"
