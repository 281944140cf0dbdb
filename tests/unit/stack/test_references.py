"""Names of stacks and where their files are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import UsageError
from ops.stack import reference


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("Pulumi.yaml", "Pulumi.staging.yaml", "Pulumi.prod.yaml"):
        (tmp_path / name).touch()
    return tmp_path


def test_environments_are_the_files_that_there_are(root: Path) -> None:
    assert reference.environments(root) == ("prod", "staging")


def test_an_unknown_stack_names_those_that_exist(root: Path) -> None:
    with pytest.raises(UsageError, match=r"'nope'.*prod, staging"):
        reference.resolve("nope", root=root)


def test_an_environment_uses_the_repositorys_file(root: Path) -> None:
    stack = reference.resolve("staging", root=root, local=root / "l")
    assert (stack.name, stack.arguments) == ("staging", "staging")
    assert stack.config_file == root / "Pulumi.staging.yaml"
    assert stack.folder == root / "l"


def test_its_settings_are_named_from_the_folder_that_has_the_instances(root: Path, tmp_path: Path) -> None:
    """In a rollback the sources are an earlier release's, somewhere else."""
    local = tmp_path / "repository" / ".pidea"
    assert reference.resolve("staging", root=root, local=local).config_name == "Pulumi.staging.yaml"
    instance = reference.resolve("staging", "t1", root=root, local=local)
    assert instance.config_name == ".pidea/instances/t1/Pulumi.staging.yaml"


def test_an_instance_has_a_folder_of_its_own(root: Path) -> None:
    stack = reference.resolve("staging", "t1", root=root, local=root / "l")
    assert (stack.name, stack.arguments) == ("staging-t1", "staging --instance t1")
    assert stack.config_file == root / "l" / "instances" / "t1" / "Pulumi.staging.yaml"


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a--b", "../x", "a-", "a" * 31])
def test_an_instance_needs_a_name_that_docker_takes(root: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name an instance"):
        reference.resolve("staging", name, root=root)
