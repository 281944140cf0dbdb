"""The viewer's settings, from its environment. It has no secret: the edge asks for the password."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from ops.dashboards.errors import SettingsError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """`prometheus_urls` show the same; the first that answers is asked. `base_path` is where the edge has the pages."""

    prometheus_urls: tuple[str, ...]
    jaeger_url: str
    folder: Path
    base_path: str
    environment: str
    scrape_interval_seconds: int
    port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises SettingsError for what is missing or makes no sense."""
        folder = Path(_text(environment, "DASHBOARDS_FOLDER"))
        if not folder.is_dir():
            raise SettingsError(f"DASHBOARDS_FOLDER must be a folder with dashboards, and {folder} is none")
        base_path = environment.get("BASE_PATH", "/dashboards/")
        if not (base_path.startswith("/") and base_path.endswith("/")):
            raise SettingsError(f"BASE_PATH must begin and end with /, is {base_path!r}")
        return cls(
            prometheus_urls=tuple(
                _url("PROMETHEUS_URL", one) for one in _text(environment, "PROMETHEUS_URL").split(",")
            ),
            jaeger_url=_url("JAEGER_URL", _text(environment, "JAEGER_URL")),
            folder=folder,
            base_path=base_path,
            environment=_text(environment, "ENVIRONMENT"),
            scrape_interval_seconds=_number(environment, "SCRAPE_INTERVAL_SECONDS", "15"),
            port=_number(environment, "PORT", "9202"),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise SettingsError(f"{name} must be set")
    return environment[name]


def _number(environment: Mapping[str, str], name: str, default: str) -> int:
    text = environment.get(name, default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(f"{name} must be a whole number from 1 to 65535, is {text!r}")
    return int(text)


def _url(name: str, text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise SettingsError(f"{name} must be an address that begins with http://, and {text!r} does not")
    return text.rstrip("/")
