"""What a word is for the search: a run of letters, digits and underscores of any script. Both stores agree on it."""

from __future__ import annotations

import re

WORD = re.compile(r"\w+")


def words_of(text: str) -> str:
    """The words of a text with a space between them."""
    return " ".join(WORD.findall(text))
