"""A/B experiments: which client gets which optimisations."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.context import Variant

Switch = Literal["l1", "l2", "l3", "dedup", "breaker"]


class Arm(BaseModel):
    """One variant: its share of the clients, and what is switched off for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    weight: int = Field(ge=0, le=1_000_000)
    off: tuple[Switch, ...] = ()

    def variant(self) -> Variant:
        """What the mechanisms read."""
        return Variant(self.name, **dict.fromkeys(self.off, False))


class Experiment(BaseModel):
    """The setting EXPERIMENT, a JSON object. Without it, everything is on for everybody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] = "none"
    variants: tuple[Arm, ...] = Field(default=(Arm(name="optimised", weight=1),), min_length=1, max_length=10)

    @model_validator(mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError as error:
                raise ValueError(f"must be a JSON object: {error}") from error
        return value

    @model_validator(mode="after")
    def _sound(self) -> Experiment:
        names = [arm.name for arm in self.variants]
        if len(set(names)) != len(names):
            raise ValueError("every variant must have a name of its own")
        if not any(arm.weight for arm in self.variants):
            raise ValueError("at least one variant must have a weight above 0")
        return self

    def assign(self, client: str) -> Variant:
        """The variant of a client: as random as SHA-256, and the same one while the weights stay.

        Weighted rendezvous hashing: every variant draws a waiting time for the client, the shorter the greater its
        weight, and the first to arrive has the client. A weight that changes thus moves clients from or to its own
        variant only.
        """
        return min((arm for arm in self.variants if arm.weight), key=lambda arm: self._wait(arm, client)).variant()

    def _wait(self, arm: Arm, client: str) -> float:
        digest = hashlib.sha256(f"{self.name}\0{arm.name}\0{client}".encode()).digest()
        # In (0, 1]: the logarithm of 0 does not exist.
        uniform = (int.from_bytes(digest[:8], "big") + 1) / 2**64
        return -math.log(uniform) / arm.weight
