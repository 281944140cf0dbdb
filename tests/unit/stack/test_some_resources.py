"""Real Pulumi on some resources of a project: what the program no longer has is still used by the others."""

from __future__ import annotations

import json

import pytest

from ops.stack import deploy
from ops.stack.events import EventLog
from tests.unit.stack.conftest import Project

pytestmark = pytest.mark.toolchain

# As services use a secret whose name tells its version: two services, and a secret that each change replaces.
PROGRAM = """
    import pulumi
    from pulumi.dynamic import CreateResult, Resource, ResourceProvider, UpdateResult

    class Provider(ResourceProvider):
        def create(self, props):
            return CreateResult("made", dict(props))

        def update(self, id, olds, news):
            return UpdateResult(dict(news))

    class Thing(Resource):
        content: pulumi.Output[str]

        def __init__(self, name, content):
            super().__init__(Provider(), name, {{"content": content}})

    password = Thing("password", "number {number}")
    secret = Thing("secret-{number}", password.content)
    Thing("service-1", secret.content)
    Thing("service-2", secret.content)
"""
URN = "urn:pulumi:staging::pidea::pulumi-python:dynamic:Resource::"


@pytest.fixture
def changed(project: Project) -> Project:
    """Up with one secret, and its program has another."""
    project.program(PROGRAM.format(number=1))
    project.is_up()
    project.program(PROGRAM.format(number=2))
    return project


def names_in(project: Project) -> set[str]:
    state = project.pulumi.state()
    assert state is not None
    assert state.is_ordered
    return {resource.urn.rpartition("::")[2] for resource in state.resources if resource.urn.startswith(URN)}


def test_what_others_still_use_stays_until_all_are_updated(changed: Project) -> None:
    others = {"password", "service-1", "service-2"}
    for left_out in (["service-1", "service-2"], ["service-2"], []):
        urns = [URN + name for name in ("secret-1", *left_out)]
        done = changed.pulumi.up_without(urns, EventLog(), _salt(changed))
        assert done.code == 0, done.output + done.errors
        assert names_in(changed) == {"secret-1", "secret-2", *others}
    changed.is_up()
    assert names_in(changed) == {"secret-2", *others}


def test_a_run_that_was_killed_before_it_put_the_state_in_order(changed: Project) -> None:
    folder = changed.pulumi.backend.folder
    assert folder is not None
    file = folder / ".pulumi" / "stacks" / "pidea" / "staging.json"
    state = json.loads(file.read_text())
    resources = state["checkpoint"]["latest"]["resources"]
    resources.append(resources.pop(next(i for i, one in enumerate(resources) if one["urn"].endswith("::secret-1"))))
    file.write_text(json.dumps(state))

    left = changed.pulumi.state()
    assert left is not None
    assert not left.is_ordered
    refused = changed.up()
    assert refused.code != 0
    assert "integrity" in refused.errors

    assert deploy.open_state(changed.pulumi).is_ordered
    changed.is_up()
    assert names_in(changed) == {"password", "secret-2", "service-1", "service-2"}


def _salt(project: Project) -> str | None:
    state = project.pulumi.state()
    assert state is not None
    return state.salt
