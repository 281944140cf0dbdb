"""What every section of the settings is: frozen, in camelCase in the file, without a key that nobody knows."""

from __future__ import annotations

import pydantic
from pydantic.alias_generators import to_camel


class Section(pydantic.BaseModel):
    """A mapping of the configuration file. An unknown key is an error, and a value cannot be changed later."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)
