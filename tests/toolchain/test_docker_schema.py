"""The docker plugin has every resource, function and input of the SDK, under the same names."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker
import pytest
from pulumi import _types

from ops.toolchain import Toolchain
from tests.toolchain.conftest import Project

pytestmark = pytest.mark.toolchain

# docker.Image builds in code of the official provider that no module offers; this project builds with RemoteImage.
IMAGE = "docker:index/image:Image"
IMAGE_INPUTS = {"ImageArgs", "DockerBuildArgs", "CacheFromArgs", "RegistryArgs"}


@pytest.fixture
def schema(project: Project, toolchain: Toolchain) -> Any:
    """What the plugin itself answers, as the engine gets it."""
    if toolchain.methods["docker"] != "source":
        pytest.skip("the docker plugin is the official one, which the SDK was generated from")
    shown = project.run("package", "get-schema", "docker")
    return json.loads(shown[shown.index("{") :])


def test_resources(schema: Any) -> None:
    sdk = {
        getattr(made, "pulumi_type")  # noqa: B009 generated, and unknown to the type checker
        for made in vars(pulumi_docker).values()
        if inspect.isclass(made) and issubclass(made, pulumi.CustomResource)
    }
    assert sdk - set(schema["resources"]) == {IMAGE, "pulumi:providers:docker"}
    assert set(schema["resources"]) <= sdk


def test_functions(schema: Any) -> None:
    folder = Path(pulumi_docker.__file__).parent
    sources = "".join(path.read_text() for path in folder.glob("get_*.py"))
    sdk = set(re.findall(r"""invoke\(['"]([^'"]+)['"]""", sources))
    assert sdk
    assert sdk <= set(schema["functions"])


def test_every_input_property(schema: Any) -> None:
    sdk = sdk_inputs()
    plugin = plugin_inputs(schema)
    assert {name for name in sdk if name not in plugin and not name.startswith(("_", "Get"))} == IMAGE_INPUTS
    shared = sdk.keys() & plugin.keys()
    assert {"ServiceArgs", "ServiceTaskSpecContainerSpecArgs", "RemoteImageBuildArgs", "ProviderArgs"} <= shared
    assert {name: plugin[name] for name in shared} == {name: sdk[name] for name in shared}


def sdk_inputs() -> dict[str, set[str]]:
    """The properties of every input class of the SDK, by the class's name."""
    modules = [pulumi_docker, *(m for m in vars(pulumi_docker).values() if inspect.ismodule(m))]
    classes = {name: made for module in modules for name, made in vars(module).items() if inspect.isclass(made)}
    return {
        name: set(_types.input_type_py_to_pulumi_names(made).values())
        for name, made in classes.items()
        if made.__module__.startswith("pulumi_docker") and _types.is_input_type(made)
    }


def plugin_inputs(schema: Any) -> dict[str, set[str]]:
    """The same of the plugin's schema."""
    resources = {token: made.get("inputProperties", {}) for token, made in schema["resources"].items()}
    types = {token: made.get("properties", {}) for token, made in schema["types"].items()}
    named = {f"{token.rsplit(':', 1)[1]}Args": set(properties) for token, properties in (resources | types).items()}
    return {**named, "ProviderArgs": set(schema["provider"]["inputProperties"])}
