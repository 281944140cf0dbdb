"""The product's version; images carry it as a label."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
