"""Which versions are accepted."""

import pytest

from ops.toolchain.versions import Range, Version, parse


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.230.0", (3, 230, 0)),
        ("v3.231.1-alpha.5f2d\n", (3, 231, 1)),
        ("go1.27", (1, 27, 0)),
        ("resource-docker-v5.2.0", (5, 2, 0)),
        ("", None),
        ("unknown", None),
    ],
)
def test_parse(text: str, version: Version | None) -> None:
    assert parse(text) == version


@pytest.mark.parametrize(
    ("text", "accepted"),
    [("3.230.0", True), ("3.300.1", True), ("3.229.9", False), ("2.999.0", False), ("4.0.0", False), ("", False)],
)
def test_range(text: str, accepted: bool) -> None:
    assert (parse(text) in Range((3, 230, 0))) is accepted
