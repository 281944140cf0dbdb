"""Reading the migration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import MigrationError
from app.storage import migrations


def test_ours_are_in_order_and_named() -> None:
    loaded = migrations.load()
    assert [migration.version for migration in loaded] == list(range(1, len(loaded) + 1))
    assert loaded[0].name == "0001_messages"


def test_the_checksum_tells_an_edit(tmp_path: Path) -> None:
    file = tmp_path / "0001_a.sql"
    file.write_text("SELECT 1;")
    before = migrations.load(tmp_path)[0].checksum
    file.write_text("SELECT 2;")
    assert migrations.load(tmp_path)[0].checksum != before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0001_a.sql", "0003_b.sql"], "without gap"),
        (["0001_a.sql", "0001_b.sql"], "without gap"),
        (["0002_a.sql"], "without gap"),
        (["1_a.sql"], "is named like"),
        (["0001-a.sql"], "is named like"),
    ],
)
def test_bad_names_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=message):
        migrations.load(tmp_path)
