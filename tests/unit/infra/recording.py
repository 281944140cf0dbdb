"""The program run against a monitor that makes nothing and keeps everything that it is asked to make."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime.stack import Stack
from pulumi.runtime.sync_await import _ensure_event_loop

from infra import names, program, settings
from ops.stack.authority import make_authority, self_signed

PASSWORD = "made-by-the-test-"
CERTIFICATE_KEY = f"pidea:{names.EDGE_CERTIFICATE_SETTING}"
IMAGE_ID = "sha256:" + "1" * 64


@functools.cache
def certificate() -> str:
    """A certificate for localhost with its key and authority, PEM."""
    return self_signed(make_authority("test"), ["localhost"], ["127.0.0.1"])


@dataclass(frozen=True)
class Secret:
    """A value that the engine was told to keep encrypted."""

    value: Any


@dataclass(frozen=True)
class Registration:
    """One resource as the engine sees it; names of inputs are the engine's (camel case)."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    protect: bool
    secret_outputs: tuple[str, ...]
    delete_before_replace: bool


@dataclass(frozen=True)
class Recording:
    """What a run of the program registered, in order, and what it exported."""

    resources: tuple[Registration, ...]
    exports: Mapping[str, Any]

    def of(self, type_: str) -> dict[str, Registration]:
        """The resources of a type, by name."""
        return {resource.name: resource for resource in self.resources if resource.type == type_}

    def containers(self) -> dict[str, dict[str, Any]]:
        """The container specification of every service, by the service's name without `service-`."""
        return {
            name.removeprefix("service-"): service.inputs["taskSpec"]["containerSpec"]
            for name, service in self.of("docker:index/service:Service").items()
        }


class _NoMocks(mocks.Mocks):
    """The monitor below answers itself."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program asked a provider for {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        made: dict[str, Any] = {}
        if args.typ == "pulumi-python:dynamic:Resource":
            made = {"value": {rpc._special_sig_key: rpc._special_secret_sig, "value": PASSWORD + args.name}}
        elif args.typ.endswith(":RemoteImage"):
            upstream = "build" not in args.inputs
            made = {"imageId": IMAGE_ID, "repoDigest": f"{args.inputs['name']}@{IMAGE_ID}" if upstream else ""}
        elif args.typ.endswith(":RegistryImage"):
            made = {"sha256Digest": "sha256:" + "2" * 64}
        return f"id-of-{args.name}", {**args.inputs, **made}


class _Monitor(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(_NoMocks())
        self.requests: list[Any] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the engine's name
        if request.type != "pulumi:pulumi:Stack":
            self.requests.append(request)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def _plain(value: Any) -> Any:
    """A protobuf value as Python's, with the engine's mark of a secret turned into a Secret."""
    match value.WhichOneof("kind"):
        case "struct_value":
            fields = {key: _plain(found) for key, found in value.struct_value.fields.items()}
            is_secret = fields.get(rpc._special_sig_key) == rpc._special_secret_sig
            return Secret(fields["value"]) if is_secret else fields
        case "list_value":
            return [_plain(found) for found in value.list_value.values]
        case "null_value":
            return None
        case kind:
            return getattr(value, kind)


def _registration(request: Any) -> Registration:
    return Registration(
        type=request.type,
        name=request.name,
        inputs={key: _plain(found) for key, found in request.object.fields.items()},
        protect=request.protect,
        secret_outputs=tuple(request.additionalSecretOutputs),
        delete_before_replace=request.deleteBeforeReplace,
    )


def record(config: Mapping[str, Any]) -> Recording:
    """Run the program with a stack's configuration, given as the engine gives it."""
    # Pulumi takes the thread's loop, and whoever ran asyncio before us may have taken that away. Not closed after us:
    # what Pulumi still has to clean up needs it.
    _ensure_event_loop()  # type: ignore[no-untyped-call]
    monitor = _Monitor()
    mocks.set_mocks(_NoMocks(), project="pidea", stack="test", monitor=monitor)
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    if json.loads(given.get("pidea:edge", "{}")).get("tls"):
        # What a stack's configuration file does not show.
        given.setdefault(CERTIFICATE_KEY, certificate())
    secret_keys = [key for key in given if settings.is_secret_setting(key.removeprefix("pidea:"))]
    pulumi.runtime.set_all_config(given, secret_keys)
    exports: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> pulumi.Output[None]:
        program.deploy()
        root = pulumi.runtime.get_root_resource()
        assert isinstance(root, Stack)
        return pulumi.Output.from_input(root.outputs).apply(exports.update)

    run()
    return Recording(tuple(_registration(request) for request in monitor.requests), exports)
