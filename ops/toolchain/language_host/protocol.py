"""The messages of Pulumi's protocol, from the SDK, without running the SDK itself.

Importing `pulumi` takes most of a second, and the CLI starts a language host more than once per command. The generated
messages need none of it: empty packages of the same names, with the SDK's folders as their search paths, let them be
imported alone. In this process `pulumi` is good for nothing else.
"""

import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any


def _empty_package(name: str) -> None:
    parent, _, child = name.rpartition(".")
    spec = PathFinder.find_spec(name, sys.modules[parent].__path__ if parent else None)
    if spec is None or spec.submodule_search_locations is None:
        raise SystemExit(f"{sys.executable} has no Pulumi SDK; install the project's requirements.txt into it.")
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package
    if parent:
        setattr(sys.modules[parent], child, package)


for _name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
    _empty_package(_name)

from pulumi.runtime.proto import language_pb2 as _language  # noqa: E402 the empty packages come first
from pulumi.runtime.proto import language_pb2_grpc as _language_grpc  # noqa: E402
from pulumi.runtime.proto import plugin_pb2 as _plugin  # noqa: E402

# The SDK's stubs for these import each other under names that do not exist, so a type checker can use none of them.
language: Any = _language
language_grpc: Any = _language_grpc
plugin: Any = _plugin
