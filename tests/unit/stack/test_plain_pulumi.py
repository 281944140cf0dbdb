"""The salt stays out of committed files, and nothing else is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.stack import plain

ORIGINAL = b"# ours\nconfig:\n  pidea:size: 3\n  pidea:tls: true\n  pidea:ratio: 1.0\n"
SALT = b"encryptionsalt: v1:abc:def\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Pulumi.staging.yaml"
    path.write_bytes(ORIGINAL)
    return path


def test_a_file_that_only_got_the_salt_gets_its_own_bytes_back(tmp_path: Path, file: Path) -> None:
    before = plain.saltless_files(tmp_path)
    file.write_bytes(
        b'# ours\nconfig:\n  pidea:size: "3"\n  pidea:tls: "true"\n  pidea:ratio: 1\n' + SALT
    )  # as Pulumi formats it
    plain.take_salt_out(before)
    assert file.read_bytes() == ORIGINAL


def test_a_setting_that_was_changed_meanwhile_is_kept(tmp_path: Path, file: Path) -> None:
    before = plain.saltless_files(tmp_path)
    file.write_bytes(SALT + ORIGINAL.replace(b"3", b"4"))
    plain.take_salt_out(before)
    assert file.read_bytes() == ORIGINAL.replace(b"3", b"4")


def test_a_salt_that_was_there_before_stays(tmp_path: Path, file: Path) -> None:
    file.write_bytes(ORIGINAL + SALT)
    before = plain.saltless_files(tmp_path)
    plain.take_salt_out(before)
    assert file.read_bytes() == ORIGINAL + SALT


def test_a_file_that_was_removed_stays_away(tmp_path: Path, file: Path) -> None:
    before = plain.saltless_files(tmp_path)
    file.unlink()
    plain.take_salt_out(before)
    assert not file.exists()


def test_the_project_is_looked_for_upwards(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "infra").mkdir()
    assert plain.project_of(tmp_path / "infra") == tmp_path


def test_without_pulumi_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(Path(plain.__file__).parent / "bin"))
    assert plain.main(["version"]) == 127
    assert "./pidea setup" in capsys.readouterr().err
