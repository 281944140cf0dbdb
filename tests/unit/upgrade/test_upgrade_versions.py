"""Which way a change goes, and what is refused before anything is touched."""

from __future__ import annotations

import pytest

from infra import names
from ops.errors import UsageError
from ops.stack.reference import resolve
from ops.upgrade import run, versions
from ops.upgrade.versions import Change


def change(running: str, wanted: str, server: str = names.POSTGRES) -> Change:
    return Change(server=server, running=running, wanted=wanted)


@pytest.mark.parametrize(
    ("running", "wanted", "is_none", "is_back", "is_major"),
    [
        ("15.20", "15.20", True, False, False),
        ("15.9", "15.20", False, False, False),
        ("15.20", "15.9", False, True, False),
        ("15.20", "17.12", False, False, True),
        ("17.12", "15.20", False, True, True),
        ("7.0.15", "8.0.2", False, False, True),
        ("8.0.10", "8.0.9", False, True, False),
    ],
)
def test_versions_are_compared_as_numbers(
    running: str, wanted: str, is_none: bool, is_back: bool, is_major: bool
) -> None:
    found = change(running, wanted)
    assert (found.is_none, found.is_back, found.is_major) == (is_none, is_back, is_major)


@pytest.mark.parametrize(
    ("running", "wanted", "back", "says"),
    [
        ("17.12", "15.20", False, r"the earlier 15.20; nothing was touched.*`./pidea upgrade staging postgres --back`"),
        ("15.20", "15.18", False, r"the earlier 15.18; nothing was touched"),
        ("15.20", "17.12", True, r"--back goes to an earlier version.*pidea:postgres, version; nothing was touched"),
        ("15.20", "15.20", True, r"that one, 15.20, runs.*nothing was touched"),
    ],
)
def test_the_other_way_than_was_said_is_refused(running: str, wanted: str, back: bool, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        versions.refuse(change(running, wanted), back=back, command="./pidea upgrade staging postgres")


@pytest.mark.parametrize(("running", "wanted", "back"), [("15.20", "17.12", False), ("17.12", "15.20", True)])
def test_the_way_that_was_said_is_gone(running: str, wanted: str, back: bool) -> None:
    versions.refuse(change(running, wanted), back=back, command="")


def test_what_cannot_be_upgraded_is_refused_in_one_sentence() -> None:
    with pytest.raises(UsageError, match="there is postgres and redis"):
        run.work_of(resolve("staging"), "moon", lambda _: None)
    for server in run.SERVERS:
        with pytest.raises(UsageError, match=rf"{server} of prod is a cluster: .*`./pidea up prod`.*is not offered"):
            run.work_of(resolve("prod"), server, lambda _: None)
