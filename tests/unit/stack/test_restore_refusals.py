"""What a restore refuses once it has seen what would come back, before anything of the stack is stopped."""

from __future__ import annotations

from typing import Any

import pytest

from ops.errors import HostError, UsageError
from ops.stack import restore, restore_steps


@pytest.mark.parametrize("prepared", [{"schema": 3, "schema_now": 3}, {"schema": 2, "schema_now": 3}, {"schema": None}])
def test_a_schema_that_the_release_knows_goes_back(prepared: dict[str, Any]) -> None:
    restore.refuse_newer(prepared, is_meant=False)


def test_a_newer_schema_is_refused_unless_it_is_meant() -> None:
    prepared = {"schema": 4, "schema_now": 3}
    with pytest.raises(UsageError, match=r"schema 4, and the release that runs knows 3.*--newer-schema"):
        restore.refuse_newer(prepared, is_meant=False)
    restore.refuse_newer(prepared, is_meant=True)


def test_what_does_not_fit_beside_the_files_in_use_is_refused() -> None:
    restore_steps.refuse_without_room("postgres", needed_bytes=100 << 20, free_bytes=200 << 20)
    with pytest.raises(HostError, match=r"take 180 MiB in the volume of postgres.* 200 are free; make room"):
        restore_steps.refuse_without_room("postgres", needed_bytes=180 << 20, free_bytes=200 << 20)
