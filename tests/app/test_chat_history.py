"""The chat API against real PostgreSQL and Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.app.conftest import Workbench

pytestmark = pytest.mark.app


def test_append_read_and_page(bench: Workbench) -> None:
    api = bench.ready().client
    path = f"/api/chats/{uuid4()}/messages"
    for number in range(1, 6):
        answer = api.post(path, json={"role": "user", "content": f"Grüße {number} 🙂"})
        assert answer.status_code == 201
        assert (answer.json()["id"], answer.json()["content"]) == (number, f"Grüße {number} 🙂")
        assert answer.json()["created_at"]

    newest = api.get(path, params={"limit": 2}).json()
    assert [message["id"] for message in newest["messages"]] == [4, 5]
    middle = api.get(path, params={"limit": 2, "before": newest["next_before"]}).json()
    assert [message["id"] for message in middle["messages"]] == [2, 3]
    oldest = api.get(path, params={"limit": 2, "before": middle["next_before"]}).json()
    assert [message["id"] for message in oldest["messages"]] == [1]
    assert oldest["next_before"] is None


def test_a_chat_without_messages_is_empty(bench: Workbench) -> None:
    api = bench.ready().client
    assert api.get(f"/api/chats/{uuid4()}/messages").json() == {"messages": [], "next_before": None}


def test_cache_hits_until_an_append_on_another_replica(bench: Workbench) -> None:
    here, there = bench.ready().client, bench.ready().client
    path, other_path = f"/api/chats/{uuid4()}/messages", f"/api/chats/{uuid4()}/messages"
    here.post(path, json={"role": "user", "content": "one"})
    assert here.get(path).headers["x-cache"] == "miss"
    assert here.get(other_path).headers["x-cache"] == "miss"
    assert there.get(path).headers["x-cache"] == "hit"

    there.post(path, json={"role": "assistant", "content": "two"})
    after = here.get(path)
    assert after.headers["x-cache"] == "miss"
    assert [message["content"] for message in after.json()["messages"]] == ["one", "two"]
    assert here.get(path).content == after.content
    assert here.get(other_path).headers["x-cache"] == "hit"


def test_every_replica_sees_an_append_that_has_returned(bench: Workbench) -> None:
    # Writers and readers race on one chat: no stale page may come out of Redis or of a shared read.
    replicas = [bench.ready(), bench.ready()]
    path = f"/api/chats/{uuid4()}/messages"

    def converse(number: int) -> None:
        for turn in range(15):
            written = replicas[(number + turn) % 2].client.post(path, json={"role": "user", "content": "x"})
            assert written.status_code == 201, written.text
            for reader in replicas:
                page = reader.client.get(path, params={"limit": 100}).json()
                ids = [message["id"] for message in page["messages"]]
                assert written.json()["id"] in ids

    with ThreadPoolExecutor() as pool:
        for conversation in [pool.submit(converse, number) for number in range(6)]:
            conversation.result()
    assert sum(replica.metric("pidea_cache_hits_total") for replica in replicas) > 0


BAD_BODIES: list[tuple[bytes, int, str]] = [
    (b"{", 422, "JSON"),
    (b"\xff\xfe", 422, "body"),
    (b'{"role": "user"}', 422, "body/content"),
    (b'{"role": "robot", "content": "x"}', 422, "body/role"),
    (b'{"role": "user", "content": ""}', 422, "body/content"),
    (b'{"role": "user", "content": "x", "extra": 1}', 422, "body/extra"),
    (b'{"role": "user", "content": "a\\u0000b"}', 422, "U+0000"),
    (b'{"role": "user", "content": "\\ud800"}', 422, "body/content"),
    (b'{"role": "user", "content": "' + "ä".encode() * 32769 + b'"}', 422, "65536 bytes"),
    (b'{"role": "user", "content": "' + b"x" * 500_000 + b'"}', 413, "larger than"),
]


def test_bad_messages_get_a_problem_document(bench: Workbench) -> None:
    api = bench.ready().client
    path = f"/api/chats/{uuid4()}/messages"
    for body, status, detail in BAD_BODIES:
        answer = api.post(path, content=body, headers={"content-type": "application/json"})
        case = (body[:60], answer.text)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), case
        assert answer.json()["status"] == status, case
        assert detail in answer.text, case
        assert '"input"' not in answer.text, case
    assert api.get(path).json()["messages"] == []


def test_an_endless_body_is_cut_off(bench: Workbench) -> None:
    chunks = (b"x" * 65536 for _ in range(64))  # sent chunked: no length is announced
    answer = bench.ready().client.post(f"/api/chats/{uuid4()}/messages", content=chunks)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_the_largest_content_is_accepted(bench: Workbench) -> None:
    api = bench.ready().client
    path = f"/api/chats/{uuid4()}/messages"
    content = "ä" * 32768
    # ensure_ascii spells each byte pair with six characters: the largest body that a valid request can have.
    assert api.post(path, json={"role": "user", "content": content}).status_code == 201
    assert api.get(path).json()["messages"][0]["content"] == content


BAD_PATHS = [
    ("/api/chats/not-a-uuid/messages", 422),
    (f"/api/chats/{uuid4()}/messages?limit=0", 422),
    (f"/api/chats/{uuid4()}/messages?limit=101", 422),
    (f"/api/chats/{uuid4()}/messages?before=0", 422),
    (f"/api/chats/{uuid4()}/messages?before=99999999999999999999", 422),
    (f"/api/chats/{uuid4()}/messages?before=x", 422),
    ("/nowhere", 404),
]


def test_bad_requests_get_a_problem_document(bench: Workbench) -> None:
    api = bench.ready().client
    for path, status in BAD_PATHS:
        answer = api.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert answer.json()["title"], path


def test_wrong_method_names_the_right_ones(bench: Workbench) -> None:
    answer = bench.ready().client.delete("/api/health")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["title"] == "Method Not Allowed"
