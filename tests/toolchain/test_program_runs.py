"""The language host runs programs: their inputs, their outputs, their failures."""

import json

import pytest

from tests.toolchain.conftest import Project

pytestmark = pytest.mark.toolchain

SECRET = "not-for-everyone"


def test_outputs_and_identity(project: Project) -> None:
    project.write(
        "program/__main__.py",
        """
        import os
        import pulumi

        pulumi.export("stack", pulumi.get_stack())
        pulumi.export("project", pulumi.get_project())
        pulumi.export("organization", pulumi.get_organization())
        pulumi.export("root", pulumi.runtime.get_root_directory())
        pulumi.export("cwd", os.getcwd())
        pulumi.export("venv", os.environ["VIRTUAL_ENV"])
        pulumi.export("preview", pulumi.runtime.is_dry_run())
        """,
    )
    project.run("up", "--yes")
    assert project.outputs() == {
        "stack": "dev",
        "project": "example",
        "organization": "organization",
        "root": str(project.folder),
        "cwd": str(project.folder / "program"),
        "venv": project.env["PULUMI_PYTHON_CMD"].removesuffix("/bin/python"),
        "preview": False,
    }


def test_preview_is_a_dry_run(project: Project) -> None:
    project.write("program/__main__.py", "import pulumi\nprint('dry', pulumi.runtime.is_dry_run())\n")
    assert "dry True" in project.run("preview")
    assert not json.loads(project.run("stack", "export"))["deployment"].get("resources")


def test_program_imports_from_its_own_folder_first(project: Project) -> None:
    # The host has modules of these names.
    project.write("program/service.py", "WHOSE = 'the program'\n")
    project.write("program/children.py", "WHOSE = 'the program'\n")
    project.write(
        "program/__main__.py",
        "import children, pulumi, service\npulumi.export('whose', [children.WHOSE, service.WHOSE])\n",
    )
    project.run("up", "--yes")
    assert project.outputs() == {"whose": ["the program", "the program"]}


def test_printed_lines_reach_the_user(project: Project) -> None:
    project.write("program/__main__.py", "import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)\n")
    shown = project.run("preview")
    assert "to stdout" in shown
    assert "to stderr" in shown


def test_secret_config_stays_secret(project: Project) -> None:
    project.run("config", "set", "--secret", "password", SECRET)
    project.run("config", "set", "port", "3000")
    program = """
        import os, pulumi, sys

        config = pulumi.Config()
        pulumi.export("password", config.require_secret("password"))
        pulumi.export("port", config.require_int("port"))
        pulumi.export("leaks", [name for name, value in os.environ.items() if "not-for" in value])
        pulumi.export("arguments", [value for value in sys.argv if "not-for" in value])
        """
    project.write("program/__main__.py", program)
    shown = project.run("up", "--yes") + project.run("stack", "output")
    assert SECRET not in shown
    assert SECRET not in project.run("stack", "export")
    assert project.outputs() == {"password": SECRET, "port": 3000, "leaks": [], "arguments": []}


def test_exception_fails_with_the_programs_own_traceback(project: Project) -> None:
    main = project.write("program/__main__.py", "import pulumi\n\n\ndef f():\n    return 1 / 0\n\n\nf()\n")
    shown = project.run("preview", fails=True)
    assert "Program failed with an unhandled exception" in shown
    assert "ZeroDivisionError" in shown
    assert f'{main}", line 5, in f' in shown
    assert "language_host" not in shown
    assert shown.count("error:") == 2  # once in the tree of resources, once in the diagnostics


def test_run_error_is_shown_without_a_traceback(project: Project) -> None:
    project.write("program/__main__.py", "import pulumi\nraise pulumi.RunError('redis.port: must be a number')\n")
    shown = project.run("preview", fails=True)
    assert "error: redis.port: must be a number" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("sys.exit(3)", "The program exited with exit code 3"),
        ("sys.exit('no such region')", "no such region"),
        ("os._exit(7)", "The program exited with exit code 7"),
        ("os.kill(os.getpid(), 9)", "The program was ended by signal 9"),
    ],
)
def test_exit_fails(project: Project, call: str, message: str) -> None:
    project.write("program/__main__.py", f"import os, sys\n{call}\n")
    shown = project.run("preview", fails=True)
    assert message in shown
    assert "never awaited" not in shown


def test_exit_zero_succeeds(project: Project) -> None:
    project.write("program/__main__.py", "import pulumi, sys\npulumi.export('a', 1)\nsys.exit(0)\n")
    project.run("up", "--yes")
    assert project.outputs() == {"a": 1}


def test_missing_program(project: Project) -> None:
    (project.folder / "program").mkdir()
    shown = project.run("preview", fails=True)
    assert "has no __main__.py" in shown
    assert "Traceback" not in shown


def test_missing_virtual_environment(project: Project) -> None:
    project.write("program/__main__.py", "")
    project.write(
        "Pulumi.yaml",
        "name: example\nmain: program/\nruntime: {name: python, options: {virtualenv: nowhere}}\n",
    )
    shown = project.run("preview", fails=True)
    assert f"The virtual environment {project.folder}/nowhere" in shown
    assert "Run `pulumi install`" in shown


def test_docker_plugin_is_found_without_a_warning(project: Project) -> None:
    project.write(
        "program/__main__.py",
        """
        import pulumi_docker

        pulumi_docker.Provider("elsewhere", host="unix:///nowhere.sock", disable_docker_daemon_check=True)
        """,
    )
    shown = project.run("preview")
    assert "pulumi:providers:docker" in shown
    assert "warning" not in shown
