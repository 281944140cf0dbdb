"""Figures as people read them."""

from __future__ import annotations

import dataclasses
import math

_TIMES = ((1e-6, "µs"), (1e-3, "ms"), (1, "s"), (60, "min"), (3600, "h"), (86400, "d"))
_BINARY = ((1, "B"), (1024, "KiB"), (1024**2, "MiB"), (1024**3, "GiB"), (1024**4, "TiB"))
_PLAIN = ((1e-3, "m"), (1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"))
_PERCENT = " %"
# From this many of a larger unit on it is used: 90 s say more than 1.5 min.
_ENOUGH = {"min": 2.0, "h": 2.0, "d": 2.0}


@dataclasses.dataclass(frozen=True)
class Scale:
    """What a value is divided by, and what then stands behind it."""

    factor: float
    suffix: str

    def text(self, value: float) -> str:
        """Three digits that matter."""
        if math.isnan(value):
            return "no value"
        scaled = value / self.factor
        if self.suffix == _PERCENT and 99 < scaled < 100:
            # Nearly all is not all: of a promise of 99.95 % these digits are the point. What division makes of 99.9,
            # a little less, is 99.9.
            return f"{math.floor(round(scaled * 1000, 6)) / 1000:g}{_PERCENT}"
        digits = f"{scaled:,.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"
        return f"{digits.replace(',', ' ')}{self.suffix}"


def scale(unit: str, largest: float) -> Scale:
    """The scale for figures up to `largest` of Grafana's unit of that name."""
    largest = abs(largest) if math.isfinite(largest) else 1.0
    match unit:
        case "percentunit":
            return Scale(0.01, _PERCENT)
        case "s":
            return _fitting(_TIMES, largest, "", " ")
        case "bytes":
            return _fitting(_BINARY, largest, "", " ")
        case "Bps":
            return _fitting(_BINARY, largest, "/s", " ")
        case "reqps" | "ops":
            return _fitting(_PLAIN[1:], largest, "/s", "")
        case _:
            return _fitting(_PLAIN[1:], largest, "", "")


def text(unit: str, value: float) -> str:
    """One value in the unit that fits it."""
    return scale(unit, value).text(value)


def _fitting(steps: tuple[tuple[float, str], ...], largest: float, ending: str, gap: str) -> Scale:
    chosen = next((step for step in steps if step[0] == 1), steps[0])
    if largest:
        for factor, name in steps:
            if largest >= factor * _ENOUGH.get(name, 1.0) or (factor, name) == steps[0]:
                chosen = (factor, name)
    factor, name = chosen
    return Scale(factor, f"{gap if name else ''}{name}{ending}" if name or ending else "")
