"""What users and their browsers tell about the service."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_COMMENT_CHARACTERS = 2000
MAX_PAGE_CHARACTERS = 200
# What no page takes; a greater figure is a broken clock and would spoil every average.
MAX_MILLISECONDS = 600_000
MAX_CLS = 100

# The pattern keeps out U+0000, which PostgreSQL cannot store.
Comment = Annotated[str, Field(max_length=MAX_COMMENT_CHARACTERS, pattern=r"^[^\x00]*$")]
# The characters of a URL's path. Not its query: that may hold what users typed.
PagePath = Annotated[
    str, Field(max_length=MAX_PAGE_CHARACTERS, pattern=r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$", examples=["/chats"])
]
Milliseconds = Annotated[float, Field(strict=True, ge=0, le=MAX_MILLISECONDS)]
LayoutShift = Annotated[float, Field(strict=True, ge=0, le=MAX_CLS)]


class Feedback(BaseModel):
    """A user's rating, from 1 (bad) to 5 (good)."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"score": 4, "comment": "Fast, but where is the search?"}]}
    )

    score: Annotated[int, Field(strict=True, ge=1, le=5)]
    comment: Comment = ""
    # The chat that the rating is about.
    chat_id: UUID | None = None


class WebVitals(BaseModel):
    """What a browser measured on one page; at least one value. Times are milliseconds, cls has no unit."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"page": "/chats", "lcp_ms": 850.5, "inp_ms": 40, "cls": 0.02}]},
    )

    page: PagePath
    lcp_ms: Milliseconds | None = None
    inp_ms: Milliseconds | None = None
    fcp_ms: Milliseconds | None = None
    ttfb_ms: Milliseconds | None = None
    cls: LayoutShift | None = None

    @model_validator(mode="after")
    def _something(self) -> WebVitals:
        if not self.values():
            raise ValueError("must have at least one of lcp_ms, inp_ms, fcp_ms, ttfb_ms and cls")
        return self

    def values(self) -> dict[str, float]:
        """What was measured, under the names and in the units of the fields."""
        return self.model_dump(exclude={"page"}, exclude_none=True)
