"""A program's dynamic providers run in a process of their own, with the project's folder on its search path."""

from pathlib import Path

import pytest

from tests.toolchain.conftest import VIRTUALENV, Project

pytestmark = pytest.mark.toolchain


@pytest.fixture
def dynamic(project: Project) -> Project:
    """A project as this repository is laid out: the provider in a package of the program's folder."""
    # Relative to the project, as in a real Pulumi.yaml; the program's folder has none.
    (project.folder / ".venv").symlink_to(VIRTUALENV)
    project.write(
        "Pulumi.yaml",
        "name: example\nmain: program/\nruntime: {name: python, options: {virtualenv: .venv}}\n",
    )
    project.write(
        "program/parts/file.py",
        """
        from pathlib import Path
        from pulumi.dynamic import CreateResult, ReadResult, Resource, ResourceProvider, UpdateResult

        class FileProvider(ResourceProvider):
            def create(self, props):
                Path(props["path"]).write_text(props["text"])
                return CreateResult(props["path"], dict(props))

            def update(self, _id, _olds, news):
                Path(_id).write_text(news["text"])
                return UpdateResult(dict(news))

            def read(self, id_, props):
                return ReadResult(id_, {**props, "text": Path(id_).read_text()})

            def delete(self, id_, _props):
                Path(id_).unlink()

        class File(Resource):
            def __init__(self, name, path, text):
                super().__init__(FileProvider(), name, {"path": path, "text": text})
        """,
    )
    project.write(
        "program/__main__.py",
        """
        import sys
        from pathlib import Path
        import pulumi
        sys.path.insert(0, str(Path(__file__).parent.parent))
        from program.parts.file import File

        File("file", pulumi.Config().require("path"), pulumi.Config().require("text"))
        """,
    )
    return project


def test_life_of_a_dynamic_resource(dynamic: Project, tmp_path: Path) -> None:
    file = tmp_path / "made.txt"
    dynamic.run("config", "set", "path", str(file))
    dynamic.run("config", "set", "text", "first")
    dynamic.run("preview")
    assert not file.exists()
    dynamic.run("up", "--yes")
    assert file.read_text() == "first"
    dynamic.run("config", "set", "text", "second")
    dynamic.run("up", "--yes")
    assert file.read_text() == "second"
    dynamic.run("preview", "--expect-no-changes")
    dynamic.run("refresh", "--yes", "--expect-no-changes")
    dynamic.run("destroy", "--yes")
    assert not file.exists()


def test_failing_provider_fails_the_update(dynamic: Project) -> None:
    dynamic.run("config", "set", "path", "/proc/nowhere/made.txt")
    dynamic.run("config", "set", "text", "any")
    assert "No such file or directory" in dynamic.run("up", "--yes", fails=True)
