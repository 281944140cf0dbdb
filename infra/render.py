"""Templates and values to text and its digest. Pure."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import jinja2

from infra.errors import RenderError
from infra.spec import ConfigSpec

_TEMPLATES = Path(__file__).parent / "templates"
DIGEST_LENGTH = 12


@functools.cache
def _environment() -> jinja2.Environment:
    # Configuration files, not HTML: escaping would corrupt them.
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701
    )


def digest(text: str) -> str:
    """The first 12 hexadecimal digits of SHA-256: enough to tell versions of one file apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def config_from_text(name: str, text: str) -> ConfigSpec:
    """A config whose content is `text` as it stands."""
    return ConfigSpec(name=name, content=text, digest=digest(text))


def config_from_template(name: str, template: str, /, **values: object) -> ConfigSpec:
    """A config from `templates/<template>`. Raises RenderError where the template needs a value not in `values`."""
    try:
        text = _environment().get_template(template).render(**values)
    except jinja2.TemplateError as error:
        raise RenderError(f"templates/{template}: {error}") from error
    return config_from_text(name, text)
