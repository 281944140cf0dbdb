"""Rules about where images come from and what they are called."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies.environments import PARAMETERS
from policies.model import Rule, Status
from policies.rules.supply_chain import RULES
from policies.view import CONTAINER, IMAGE, SERVICE
from tests.policy.fixtures import SOUND, asked, changed, messages, view

BY_ID = {rule.id: rule for rule in RULES}
IMAGE_PATH = "taskSpec.containerSpec.image"
DIGEST = "sha256:" + "0123456789abcdef" * 4
SOURCES = ["pidea/", "docker.io/library/"]
BUILD = {"context": "../images/redis"}


def running(image: Any) -> dict[str, Any]:
    return changed(IMAGE_PATH, image)


def said(id_: str, props: Any, type_: str = SERVICE, **parameters: Any) -> list[str]:
    """What the rule says; only violations."""
    found = asked(BY_ID[id_], view(props, type=type_), **parameters)
    assert {finding.status for finding in found} <= {Status.VIOLATION}
    return messages(found)


def is_unknown(id_: str, props: Any, path: str, type_: str = SERVICE, **parameters: Any) -> bool:
    """Whether that, and nothing else, cannot be judged."""
    (finding,) = asked(BY_ID[id_], view(props, type=type_), **parameters)
    expected = f"cannot be judged until deployed: {path} is not known yet"
    return (finding.status, finding.message) == (Status.UNKNOWN, expected)


def test_there_are_these_rules() -> None:
    assert {rule.id: (rule.types, rule.severity.value) for rule in RULES} == {
        "images-pinned": ((SERVICE, CONTAINER), "high"),
        "images-from-allowed-sources": ((SERVICE, CONTAINER, IMAGE), "high"),
        "labelled": ((SERVICE,), "medium"),
        "no-mutable-tags": ((IMAGE,), "medium"),
    }


def test_parameters_by_environment() -> None:
    expected = {"sources": ["pidea/"]}
    assert PARAMETERS["images-from-allowed-sources"] == {"staging": expected, "prod": expected}
    assert {rule.id: set(rule.parameters) for rule in RULES if rule.parameters} == {
        "images-from-allowed-sources": {"sources"}
    }


@pytest.mark.parametrize("rule", [rule for rule in RULES if SERVICE in rule.types], ids=lambda rule: rule.id)
def test_a_sound_service_passes(rule: Rule) -> None:
    assert asked(rule, view(SOUND)) == []


# images-pinned


@pytest.mark.parametrize(
    "image", [DIGEST, f"pidea/redis@{DIGEST}", f"pidea/redis:7@{DIGEST}", f"registry:5000/pidea/redis@{DIGEST}"]
)
def test_a_pinned_image(image: str) -> None:
    assert said("images-pinned", running(image)) == []
    assert said("images-pinned", {"image": image}, CONTAINER) == []


@pytest.mark.parametrize(
    "image",
    [
        "redis",
        "redis:latest",
        "pidea/redis:0123456789abcdef",
        DIGEST[:-1],
        DIGEST + "0",
        DIGEST.upper(),
        "sha256:" + "g" * 64,
        f"x{DIGEST}",
        f"pidea/redis@{DIGEST[:-1]}",
        f"pidea/redis@{DIGEST}0",
        f"@{DIGEST}",
        f"a@b@{DIGEST}",
        f"a b@{DIGEST}",
        f"{DIGEST}\n",
        "",
    ],
)
def test_an_image_that_is_not_pinned(image: str) -> None:
    expected = [f"runs the image {image!r}, a name that can come to mean another image"]
    assert said("images-pinned", running(image)) == expected
    assert said("images-pinned", {"image": image}, CONTAINER) == expected


def test_no_image_at_all_is_not_pinned() -> None:
    assert said("images-pinned", running(None)) == ["runs the image '', a name that can come to mean another image"]


def test_an_image_that_is_not_built_yet() -> None:
    props = running(UNKNOWN_STRING_VALUE)
    assert is_unknown("images-pinned", props, IMAGE_PATH)
    assert is_unknown("images-from-allowed-sources", props, IMAGE_PATH, sources=SOURCES)


# images-from-allowed-sources


@pytest.mark.parametrize(
    "image",
    [
        DIGEST,
        "pidea/redis:1",
        f"pidea/redis@{DIGEST}",
        f"pidea/redis:1@{DIGEST}",
        "redis",
        "redis:7.2",
        f"redis@{DIGEST}",
        "library/redis:7.2",
        "docker.io/library/redis:7.2",
    ],
)
def test_an_image_from_a_source_on_the_list(image: str) -> None:
    assert said("images-from-allowed-sources", running(image), sources=SOURCES) == []
    assert said("images-from-allowed-sources", {"image": image}, CONTAINER, sources=SOURCES) == []
    assert said("images-from-allowed-sources", {"name": image}, IMAGE, sources=SOURCES) == []


@pytest.mark.parametrize(
    "image",
    [
        "other/redis:1",
        "pidea-evil/redis:1",
        "evil.example/pidea/redis:1",
        f"registry:5000/pidea/redis@{DIGEST}",
        "localhost/library/redis",
        "docker.io/other/redis",
        "docker.io/libraryevil/redis",
        "quay.io/redis:7",
        "",
    ],
)
def test_an_image_from_elsewhere(image: str) -> None:
    expected = [f"takes the image {image!r} from a source that is not on the list"]
    sources = ["pidea/", "docker.io/library/redis"]
    assert said("images-from-allowed-sources", running(image), sources=sources) == expected
    assert said("images-from-allowed-sources", {"image": image}, CONTAINER, sources=sources) == expected
    assert said("images-from-allowed-sources", {"name": image}, IMAGE, sources=sources) == expected


def test_a_registry_on_this_machine_is_no_source_of_its_own() -> None:
    for registry in ("127.0.0.1:5000", "localhost:26507"):
        assert said("images-from-allowed-sources", running(f"{registry}/pidea/redis@{DIGEST}"), sources=SOURCES) == []
        assert said("images-from-allowed-sources", running(f"{registry}/other/redis@{DIGEST}"), sources=SOURCES) != []
    elsewhere = running(f"127.0.0.10:5000/pidea/redis@{DIGEST}")
    assert said("images-from-allowed-sources", elsewhere, sources=SOURCES) != []


@pytest.mark.parametrize(
    ("source", "image"),
    [
        ("grafana/grafana", "grafana/grafana:11"),
        ("grafana/grafana", f"grafana/grafana@{DIGEST}"),
        ("docker.io/grafana", "grafana/grafana:11"),
        ("registry:5000/", f"registry:5000/pidea/redis@{DIGEST}"),
        ("registry:5000", "registry:5000/redis:1"),
        ("localhost", "localhost/redis"),
        ("registry.example/", "registry.example/redis"),
    ],
)
def test_sources_are_repositories_or_folders_of_them(source: str, image: str) -> None:
    assert said("images-from-allowed-sources", running(image), sources=[source]) == []
    assert said("images-from-allowed-sources", running(image), sources=[source + "x"]) != []
    assert said("images-from-allowed-sources", running(image)) != []


@pytest.mark.parametrize("image", ["registry:5000/redis", "localhost/redis", "registry.example/redis"])
def test_a_registry_is_not_a_folder_of_docker_hub(image: str) -> None:
    assert said("images-from-allowed-sources", running(image), sources=["docker.io/"]) != []


def test_an_image_that_is_built_here_may_be_called_anything() -> None:
    props = {"name": "registry:5000/other/redis:1", "build": BUILD}
    assert said("images-from-allowed-sources", props, IMAGE) == []
    assert said("images-from-allowed-sources", {**props, "build": None}, IMAGE) != []
    # Only an image is built: on anything else the word means nothing.
    assert said("images-from-allowed-sources", {"image": "other/redis", "build": BUILD}, CONTAINER) != []


def test_a_name_that_is_not_known_yet() -> None:
    assert is_unknown("images-from-allowed-sources", {"name": UNKNOWN_STRING_VALUE}, "name", IMAGE)
    assert is_unknown("no-mutable-tags", {"name": UNKNOWN_STRING_VALUE}, "name", IMAGE)


# labelled

LABELS = SOUND["labels"]


@pytest.mark.parametrize(("path", "whose"), [("labels", "it"), ("taskSpec.containerSpec.labels", "its containers")])
@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        (LABELS[:1], ["dev.pidea.component"]),
        (LABELS[1:], ["dev.pidea.instance"]),
        ([LABELS[0], {"label": "dev.pidea.component", "value": ""}], ["dev.pidea.component"]),
        ([], ["dev.pidea.instance", "dev.pidea.component"]),
        (None, ["dev.pidea.instance", "dev.pidea.component"]),
    ],
)
def test_a_missing_label(path: str, whose: str, labels: Any, missing: list[str]) -> None:
    expected = [f"has no label {name} on {whose}" for name in missing]
    assert said("labelled", changed(path, labels)) == expected


def test_a_label_that_is_not_known_yet() -> None:
    props = changed("taskSpec.containerSpec.labels.0.value", UNKNOWN_STRING_VALUE)
    assert is_unknown("labelled", props, "taskSpec.containerSpec.labels[0].value")


# no-mutable-tags


@pytest.mark.parametrize(
    "name", ["redis:7.2", "redis:latest-7", "registry:5000/redis:7", f"redis@{DIGEST}", f"redis:latest@{DIGEST}"]
)
def test_an_image_with_a_version(name: str) -> None:
    assert said("no-mutable-tags", {"name": name}, IMAGE) == []


@pytest.mark.parametrize(
    "name", ["redis", "redis:latest", "registry:5000/redis", "registry:5000/redis:latest", "redis@sha256:0", ""]
)
def test_an_image_without_a_version(name: str) -> None:
    expected = [f"pulls the image {name!r}, whatever that is on the day"]
    assert said("no-mutable-tags", {"name": name}, IMAGE) == expected
    assert said("no-mutable-tags", {"name": name, "build": None}, IMAGE) == expected
    assert said("no-mutable-tags", {"name": name, "build": BUILD}, IMAGE) == []


def test_whether_it_is_built_is_not_known_yet() -> None:
    props = {"name": "redis", "build": UNKNOWN_STRING_VALUE}
    assert is_unknown("no-mutable-tags", props, "build", IMAGE)
    assert is_unknown("images-from-allowed-sources", props, "build", IMAGE)
