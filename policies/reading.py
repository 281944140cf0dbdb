"""Each resource is read once.

Pulumi's SDK makes Python objects of a resource's properties anew for every rule: of prod's 140 resources 7,000 times
in a preview, most of what a judgement takes. What a message holds depends on nothing but its bytes, so the same bytes
need no second reading. Rules do not change what they are given; remediations do, and what they get is made anew.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import pulumi_policy.policy as sdk
from google.protobuf import json_format  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.proxy import unknown_checking_proxy

# All of a stack's resources and providers, a few times over.
_MOST_REMEMBERED: Final = 4096


class _Message(dict[str, Any]):
    """A message as Pulumi's SDK reads it, and what the SDK makes of that for a rule."""

    @functools.cached_property
    def proxied(self) -> Any:
        return unknown_checking_proxy(deserialize_properties(self))


class _Format:
    """Stands where the SDK has protobuf's json_format, of which it uses one function."""

    @staticmethod
    def MessageToDict(message: Struct) -> _Message:  # noqa: N802 - the name of what it replaces
        return _message(message.SerializeToString(deterministic=True))


def read_once() -> None:
    """From now on, in this process. Raises AttributeError where another SDK has other names for its parts."""
    for name, ours in (
        ("json_format", _Format),
        ("deserialize_properties", _deserialized),
        ("unknown_checking_proxy", _proxied),
    ):
        getattr(sdk, name)
        setattr(sdk, name, ours)


@functools.lru_cache(maxsize=_MOST_REMEMBERED)
def _message(serialized: bytes) -> _Message:
    return _Message(json_format.MessageToDict(Struct.FromString(serialized)))


def _deserialized(properties: dict[str, Any], proxy_secrets: bool = False) -> Any:
    if isinstance(properties, _Message) and not proxy_secrets:
        return properties
    return deserialize_properties(properties, proxy_secrets)


def _proxied(properties: Any) -> Any:
    return properties.proxied if isinstance(properties, _Message) else unknown_checking_proxy(properties)
