"""Resources as rules see them: missing and null properties read as absent, unknown ones raise Unknown."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import yaml
from pulumi_policy.proxy import UnknownValueError, _is_unknown  # the sentinels have no public name

SERVICE: Final = "docker:index/service:Service"
NETWORK: Final = "docker:index/network:Network"
VOLUME: Final = "docker:index/volume:Volume"
SECRET: Final = "docker:index/secret:Secret"  # noqa: S105 - a type
CONFIG: Final = "docker:index/serviceConfig:ServiceConfig"
IMAGE: Final = "docker:index/remoteImage:RemoteImage"
CONTAINER: Final = "docker:index/container:Container"

_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
# How Pulumi marks an object as the wrapping of a secret: in a message with its value, in a state encrypted or in plain.
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_WRAPPED: Final = "1b47061264138c4ac30d75fd1eb44270"


class Unknown(Exception):  # noqa: N818 - not an error: the value is not there yet
    """A rule asked for what only the deployment will tell; `path` says for what."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Malformed(Exception):  # noqa: N818 - like Unknown
    """A property is not what its type promises; the text says which."""


class View:
    """A resource, or an object within one. Reads plain data and Pulumi's unknown-checking proxies alike."""

    def __init__(
        self,
        props: Mapping[str, Any],
        *,
        type: str = "",
        name: str = "",
        urn: str = "",
        protect: bool = False,
        ignores: Iterable[str] = (),
        path: str = "",
    ) -> None:
        self._props = props
        self.type = type
        self.name = name
        self.urn = urn
        self.protect = protect
        # Properties of which a change is none: what is there stays.
        self.ignores = frozenset(ignores)
        self._path = path

    def get(self, *path: str, default: Any = None) -> Any:
        """The value at the path; `default` where it, or anything on the way to it, is missing or null.

        Raises Unknown where that cannot be known yet. Objects come back as views, lists of objects as in `each`.
        """
        value: Any = self._props
        for depth, key in enumerate(path):
            here = self._said(*path[: depth + 1])
            if not isinstance(value, Mapping):
                raise Malformed(f"{self._said(*path[:depth])} is not an object")
            try:
                value = value[key] if key in value else None  # noqa: SIM401 - the proxies' get hides unknowns
                value = _unwrapped(value, here)
            except UnknownValueError:
                raise Unknown(here) from None
            if _is_unknown(value):
                raise Unknown(here)
            if value is None:
                return default
        return View(value, path=self._said(*path)) if isinstance(value, Mapping) else value

    def has(self, *path: str) -> bool:
        """Whether something is there. Raises Unknown."""
        return self.get(*path) is not None

    def text(self, *path: str, default: str = "") -> str:
        """A text; numbers and booleans as Docker writes them. Raises Unknown, Malformed."""
        value = self.get(*path, default=default)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (int, float)):
            return f"{value:.15g}"  # every digit of a number of bytes
        if not isinstance(value, str):
            raise Malformed(f"{self._said(*path)} is not a text")
        return value

    def number(self, *path: str, default: float = 0.0) -> float:
        """A number, also where it is written as text. Raises Unknown, Malformed."""
        value = self.get(*path, default=default)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        # What is not a number is neither above nor below any limit, and would pass every rule.
        if not math.isfinite(number):
            raise Malformed(f"{self._said(*path)} is not a number")
        return number

    def flag(self, *path: str, default: bool = False) -> bool:
        """A boolean. Raises Unknown, Malformed."""
        value = self.get(*path, default=default)
        if not isinstance(value, bool):
            raise Malformed(f"{self._said(*path)} is not true or false")
        return value

    def seconds(self, *path: str, default: str = "0s") -> float:
        """A duration in Docker's notation, such as `1m5s`, in seconds. Raises Unknown, Malformed."""
        text = self.text(*path, default=default)
        try:
            return seconds(text)
        except ValueError as error:
            raise Malformed(f"{self._said(*path)}: {error}") from None

    def each(self, *path: str) -> Iterator[View]:
        """The objects of a list. Raises Unknown, Malformed."""
        for number, item in enumerate(self._items(*path)):
            if not isinstance(item, Mapping):
                raise Malformed(f"{self._said(*path)}[{number}] is not an object")
            yield View(item, path=f"{self._said(*path)}[{number}]")

    def texts(self, *path: str) -> list[str]:
        """A list of texts. Raises Unknown, Malformed."""
        items = list(self._items(*path))
        for number, item in enumerate(items):
            if not isinstance(item, str):
                raise Malformed(f"{self._said(*path)}[{number}] is not a text")
        return items

    def pairs(self, *path: str) -> dict[str, str]:
        """An object of texts, such as env. Raises Unknown, Malformed."""
        value = self.get(*path)
        if value is None:
            return {}
        if not isinstance(value, View):
            raise Malformed(f"{self._said(*path)} is not an object")
        # A provider's inputs may hold its own notes on what it filled in.
        return {key: value.text(key) for key in value.keys() if key != "__defaults"}  # noqa: SIM118 - no mapping

    def keys(self) -> list[str]:
        """The names of what is there, unknown values too."""
        return [str(key) for key in self._props]

    def labels(self, *path: str) -> dict[str, str]:
        """Docker's labels at the path, a list of `label` and `value`. Raises Unknown, Malformed."""
        return {item.text("label"): item.text("value") for item in self.each(*path)}

    def _items(self, *path: str) -> Iterator[Any]:
        value = self.get(*path)
        if value is None:
            return
        if isinstance(value, (str, View)) or not isinstance(value, Sequence):
            raise Malformed(f"{self._said(*path)} is not a list")
        for number in range(len(value)):
            try:
                item = _unwrapped(value[number], f"{self._said(*path)}[{number}]")
            except UnknownValueError:
                raise Unknown(f"{self._said(*path)}[{number}]") from None
            if _is_unknown(item):
                raise Unknown(f"{self._said(*path)}[{number}]")
            yield item

    def _said(self, *path: str) -> str:
        return ".".join(part for part in (self._path, *path) if part)


@dataclasses.dataclass(frozen=True)
class Stack:
    """All resources of a stack, and the state before the change (None: nobody has told)."""

    resources: Sequence[View]
    before: Sequence[View] | None = None

    def of(self, *types: str) -> list[View]:
        """The resources of these types."""
        return [resource for resource in self.resources if resource.type in types]

    @property
    def services(self) -> list[View]:
        """The Swarm services."""
        return self.of(SERVICE)


def component(resource: View) -> str:
    """The logical name of one of the platform's resources (`redis`), its own name where it has no label.

    A volume has labels only by the manager that it was made by; by another one it is known by its resource's name.
    """
    return resource.labels("labels").get("dev.pidea.component") or resource.name.removeprefix("volume-")


def config_text(config: View) -> str:
    """The content of a Swarm config. Raises Unknown, Malformed."""
    try:
        return base64.b64decode(config.text("data"), validate=True).decode()
    except ValueError:  # neither base64 nor UTF-8, or not even ASCII
        raise Malformed("data is not base64 of a text") from None


@functools.lru_cache
def parsed_yaml(text: str) -> Any:
    """What the text says, for reading only: others get the same. Raises yaml.YAMLError, ValueError."""
    # libyaml reads ten times as fast, and is in PyYAML's wheels for every common machine.
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


def seconds(duration: str) -> float:
    """Docker's notation of a duration in seconds. Raises ValueError for anything else."""
    if duration == "0":
        return 0.0
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is not a duration such as 30s or 1m5s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _unwrapped(value: Any, path: str) -> Any:
    """What a secret's wrapping holds, anything else as it is. Raises Unknown where it is encrypted."""
    if not isinstance(value, Mapping) or _SIGNATURE not in value or value[_SIGNATURE] != _WRAPPED:
        return value
    if "value" in value:
        return value["value"]
    if "plaintext" in value:
        return json.loads(value["plaintext"])
    raise Unknown(path)


def listed(names: Iterable[str]) -> str:
    """For a sentence."""
    return ", ".join(sorted(names))
