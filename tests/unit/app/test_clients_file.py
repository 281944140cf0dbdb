"""The file of the clients' tokens: what it may hold, and what is said about one that is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import SettingsError
from app.web.clients import DEVELOPER, Clients, read_clients


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def read(folder: Path, content: str | bytes) -> Clients:
    path = folder / "clients"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_clients({"API_CLIENTS_FILE": str(path)}, None)


def problems(folder: Path, content: str | bytes) -> tuple[str, ...]:
    """What is wrong with a file that must be wrong."""
    with pytest.raises(SettingsError) as caught:
        read(folder, content)
    return caught.value.problems


def test_each_client_is_known_by_its_token(tmp_path: Path) -> None:
    clients = read(tmp_path, f"ide {digest('one')}\nci.build-2_x {digest('two')}\n")
    assert [clients.name_of(token) for token in ("one", "two")] == ["ide", "ci.build-2_x"]


@pytest.mark.parametrize(
    "token", ["", "On", "One", "one ", " one", "one\n", "onee", digest("one"), "ide", "é", "\udcff"]
)
def test_a_wrong_token_is_nobodys(tmp_path: Path, token: str) -> None:
    assert read(tmp_path, f"ide {digest('one')}\n").name_of(token) is None


@given(st.binary(max_size=600))
@settings(deadline=None)
def test_whatever_bytes_a_header_has_the_answer_is_nobody(header: bytes) -> None:
    # As the bytes of a header come: those that are no ASCII as halves of surrogate pairs.
    assert Clients({bytes(32): "ide"}).name_of(header.decode("ascii", "surrogateescape")) is None


def test_comments_empty_lines_and_spaces_between_do_not_count(tmp_path: Path) -> None:
    content = f"# who may ask\n\n   \nide\t  {digest('one')}  \r\n# ide {digest('two')}\n#\n"
    clients = read(tmp_path, content)
    assert (clients.name_of("one"), clients.name_of("two")) == ("ide", None)


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert read(tmp_path, f"ide {digest('one')}").name_of("one") == "ide"


def test_a_client_may_have_two_tokens_while_one_replaces_the_other(tmp_path: Path) -> None:
    clients = read(tmp_path, f"ide {digest('old')}\nide {digest('new')}\n")
    assert [clients.name_of(token) for token in ("old", "new")] == ["ide", "ide"]


@pytest.mark.parametrize("second", ["other", "ide"])
def test_a_token_cannot_be_that_of_two_lines(tmp_path: Path, second: str) -> None:
    (problem,) = problems(tmp_path, f"ide {digest('one')}\n{second} {digest('one')}\n")
    assert "line 2: another client has the same token" in problem


@pytest.mark.parametrize(
    "line",
    [
        "ide",
        f"{digest('one')}",
        f"ide {digest('one')} more",
        f"ide {digest('one')}  # the build server",
        f"ide:{digest('one')}",
        "ide token-in-plain-text",
        f"ide {digest('one')[:-1]}",
        f"ide {digest('one')}0",
        f"ide {digest('one').upper()}",
        f"ide {digest('one')[:-1]}g",
        f"ide {'١' * 64}",
        f"ide {hashlib.sha1(b'one').hexdigest()}",  # noqa: S324 - what somebody might write by mistake
        f"IDE {digest('one')}",
        f"-ide {digest('one')}",
        f"{'i' * 65} {digest('one')}",
        f"idé {digest('one')}",
        f"\ufeffide {digest('one')}",
        f" # ide {digest('one')}",
        f"{digest('one')} ide",
    ],
)
def test_a_line_of_another_form_is_told_by_its_number_and_never_shown(tmp_path: Path, line: str) -> None:
    (problem,) = problems(tmp_path, f"# the clients\nother {digest('two')}\n{line}\n")
    assert problem.startswith(f"API_CLIENTS_FILE: {tmp_path / 'clients'}, line 3: a line is NAME SHA256")
    assert "token-in-plain-text" not in problem
    assert not any(word in problem for word in line.split() if len(word) > 20)


def test_all_wrong_lines_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, f"ide\nother {digest('one')}\nci x\nagain {digest('one')}\n")
    assert [problem.split(": ")[1].rpartition(" ")[2] for problem in found] == ["1", "3", "4"]


def test_the_longest_name_is_taken(tmp_path: Path) -> None:
    assert read(tmp_path, f"{'i' * 64} {digest('one')}\n").name_of("one") == "i" * 64


@pytest.mark.parametrize("content", ["", "\n\n", "# nobody yet\n"])
def test_a_file_without_a_client_is_refused(tmp_path: Path, content: str) -> None:
    (problem,) = problems(tmp_path, content)
    assert "names no client" in problem


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, b"ide \xff\xfe\n")
    assert problem == f"API_CLIENTS_FILE: cannot read {tmp_path / 'clients'}: it is not UTF-8 text"


@pytest.mark.parametrize(("name", "reason"), [("nowhere", "No such file or directory"), ("", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    with pytest.raises(SettingsError) as caught:
        read_clients({"API_CLIENTS_FILE": str(path)}, None)
    assert caught.value.problems == (f"API_CLIENTS_FILE: cannot read {path}: {reason}",)


@pytest.mark.parametrize("environment", [{}, {"API_CLIENTS_FILE": ""}])
def test_the_file_must_be_named(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="API_CLIENTS_FILE: must be the path"):
        read_clients(environment, None)


def test_a_developer_gets_a_token_that_stays_and_that_others_cannot_read(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "embedded"
    first, second = read_clients({}, folder), read_clients({}, folder)
    token = (folder / "token").read_text().strip()
    assert (first.name_of(token), second.name_of(token)) == (DEVELOPER, DEVELOPER)
    assert len(token) >= 43, "32 random bytes"
    assert first.name_of("") is None
    assert ((folder / "token").stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_two_developers_have_two_tokens(tmp_path: Path) -> None:
    for name in ("one", "two"):
        read_clients({}, tmp_path / name)
    assert (tmp_path / "one" / "token").read_text() != (tmp_path / "two" / "token").read_text()


def test_a_developer_with_a_file_of_clients_needs_no_token(tmp_path: Path) -> None:
    (tmp_path / "clients").write_text(f"ide {digest('one')}\n")
    clients = read_clients({"API_CLIENTS_FILE": str(tmp_path / "clients")}, tmp_path / "embedded")
    assert clients.name_of("one") == "ide"
    assert not (tmp_path / "embedded").exists()


def test_a_developers_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"cannot keep the developer's token there"):
        read_clients({}, tmp_path / "file" / "embedded")


def test_an_empty_token_file_does_not_make_the_empty_token_a_developers(tmp_path: Path) -> None:
    # What a first start leaves that ends between making the file and writing into it.
    (tmp_path / "token").touch(mode=0o600)
    try:
        clients = read_clients({}, tmp_path)
    except SettingsError:
        return
    assert clients.name_of("") is None
