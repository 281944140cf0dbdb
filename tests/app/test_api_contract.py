"""The API as a client sees it: the same on PostgreSQL with Redis, and embedded."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.app.conftest import Workbench
from tests.app.servers import Backend

pytestmark = pytest.mark.app


@pytest.fixture(params=["servers", "embedded"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """One of the two modes; both have L1 as in production."""
    if request.param == "embedded":
        embedded: Backend = request.getfixturevalue("embedded")
        return embedded
    bench: Workbench = request.getfixturevalue("bench")
    return bench.ready(L1_TTL_MILLISECONDS="100")


def contents(backend: Backend, path: str) -> list[str]:
    answer = backend.client.get(path)
    assert answer.status_code == 200, answer.text
    return [message["content"] for message in answer.json()["messages"]]


def say(backend: Backend, path: str, content: str, **headers: str) -> int:
    answer = backend.client.post(path, json={"role": "user", "content": content}, headers=headers)
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    return number


def test_a_chat_from_its_creation_to_its_end(backend: Backend) -> None:
    api = backend.client
    created = api.post("/api/chats", json={"title": "Grüße 🙂"})
    chat = created.json()
    where = created.headers["location"]
    assert where == f"/api/chats/{chat['id']}"
    assert api.get(where).json() == chat
    path = f"{where}/messages"
    assert api.get(path).json() == {"messages": [], "next_cursor": None}

    assert [say(backend, path, text) for text in ("one", "two", "three")] == [1, 2, 3]
    assert contents(backend, path) == ["one", "two", "three"]
    edited = api.patch(f"{path}/2", json={"content": "TWO"})
    assert (edited.status_code, edited.json()["content"], edited.json()["edited_at"] is None) == (200, "TWO", False)
    assert contents(backend, path) == ["one", "TWO", "three"]
    assert api.delete(f"{path}/1").status_code == 204
    assert contents(backend, path) == ["TWO", "three"]
    assert say(backend, path, "four") == 4, "an id is not used again"

    renamed = api.patch(where, json={"title": "new"})
    assert (renamed.status_code, renamed.json()["title"]) == (200, "new")
    assert api.get(where).json()["title"] == "new"
    assert renamed.json()["updated_at"] > chat["updated_at"]

    exported = api.get(f"{where}/export")
    assert exported.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert lines[0]["title"] == "new"
    assert [line["content"] for line in lines[1:]] == ["TWO", "three", "four"]

    assert api.delete(where).status_code == 204
    for gone in (where, path, f"{where}/export"):
        assert api.get(gone).status_code == 404
    assert api.delete(where).status_code == 404


def test_pages_of_messages_and_of_chats(backend: Backend) -> None:
    path = backend.new_chat("0")
    for number in range(7):
        say(backend, path, str(number))
    pages, cursor = [], None
    while True:
        parameters = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        page = backend.client.get(path, params=parameters).json()
        pages.append([message["content"] for message in page["messages"]])
        if (cursor := page["next_cursor"]) is None:
            break
    assert pages == [["4", "5", "6"], ["1", "2", "3"], ["0"]]

    for number in range(1, 5):
        backend.new_chat(str(number))
    titles: list[str] = []
    while True:
        parameters = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = backend.client.get("/api/chats", params=parameters).json()
        titles += [chat["title"] for chat in page["chats"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert titles == ["4", "3", "2", "1", "0"]


def test_search_finds_whole_words_in_any_case(backend: Backend) -> None:
    first, second = backend.new_chat(), backend.new_chat()
    say(backend, first, "The Build is RED, again")
    say(backend, second, 'a red herring; O\'Brien "quoted" 100% über')
    say(backend, second, "reddish builds")

    def found(query: str, **parameters: str) -> list[str]:
        answer = backend.client.get("/api/search", params={"q": query, **parameters})
        assert answer.status_code == 200, answer.text
        return [item["message"]["content"][:5] for item in answer.json()["found"]]

    assert found("red") == ["a red", "The B"]
    assert found("red build") == ["The B"]
    assert found("ÜBER") == ["a red"]
    assert found("nowhere") == []
    for hostile in ('" OR 1=1 --', "NEAR(red", "red*", "'; DROP TABLE messages; --", "%", "red:*", "\\", "^"):
        backend.client.get("/api/search", params={"q": hostile}).raise_for_status()
    page = backend.client.get("/api/search", params={"q": "red", "limit": "1"}).json()
    assert found("red", limit="1", cursor=page["next_cursor"]) == ["The B"]
    backend.client.patch(f"{first}/1", json={"content": "green"})
    assert found("build") == []


def test_a_client_does_not_see_another_ones_chats(backend: Backend) -> None:
    path = backend.new_chat("mine")
    where = path.removesuffix("/messages")
    say(backend, path, "secretive")
    assert contents(backend, path) == ["secretive"]
    other = backend.client_as("other")
    unknown = f"/api/chats/{uuid.uuid4()}"
    body = {"role": "user", "content": "x"}
    for chat in (where, unknown):
        answers = [
            other.get(chat),
            other.get(f"{chat}/messages"),
            other.get(f"{chat}/export"),
            other.post(f"{chat}/messages", json=body),
            other.patch(chat, json={"title": "yours"}),
            other.patch(f"{chat}/messages/1", json={"content": "x"}),
            other.delete(f"{chat}/messages/1"),
            other.delete(chat),
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.json()["detail"] for answer in answers}) == 1, "they must look the same"
    assert other.get("/api/chats").json()["chats"] == []
    assert other.get("/api/search", params={"q": "secretive"}).json()["found"] == []
    assert contents(backend, path) == ["secretive"]


def test_a_chat_that_was_looked_for_before_it_existed_is_there_at_once(backend: Backend) -> None:
    # A negative entry must not outlive the creation; ids are the service's, so this is about messages.
    path = backend.new_chat()
    assert backend.client.delete(f"{path}/1").status_code == 404
    say(backend, path, "one")
    assert backend.client.delete(f"{path}/1").status_code == 204


def test_the_second_read_comes_from_the_cache_and_says_so(backend: Backend) -> None:
    path = backend.new_chat()
    say(backend, path, "one")
    first, second = backend.client.get(path), backend.client.get(path)
    assert first.headers["x-cache"] == "origin"
    assert second.headers["x-cache"] in ("l1", "l2")
    assert second.content == first.content
    unchanged = backend.client.get(path, headers={"if-none-match": second.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    say(backend, path, "two")
    changed = backend.client.get(path, headers={"if-none-match": second.headers["etag"]})
    assert changed.status_code == 200


def test_an_idempotency_key_executes_once(backend: Backend) -> None:
    path = backend.new_chat()
    key = {"idempotency-key": "b9b0-1"}
    body = {"role": "user", "content": "once"}
    first = backend.client.post(path, json=body, headers=key)
    again = backend.client.post(path, json=body, headers={"idempotency-key": '"b9b0-1"'})
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.content, again.headers["location"]) == (first.content, first.headers["location"])
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    other_body = backend.client.post(path, json={**body, "content": "twice"}, headers=key)
    other_path = backend.client.post(backend.new_chat(), json=body, headers=key)
    assert (other_body.status_code, other_path.status_code) == (422, 422)
    assert contents(backend, path) == ["once"]
    # Another client's key of the same name is another key, and a failed write leaves its key unused.
    assert backend.client_as("other").post("/api/chats", json={}, headers=key).status_code == 201
    fresh = {"idempotency-key": "fresh"}
    assert backend.client.delete(f"{path}/9", headers=fresh).status_code == 404
    assert backend.client.delete(f"{path}/1", headers=fresh).status_code == 204
    assert backend.client.delete(f"{path}/1", headers=fresh).status_code == 204, "it was done; it is not done again"


def test_the_same_key_many_times_at_once_executes_once(backend: Backend) -> None:
    path = backend.new_chat()

    def write(_: int) -> int:
        body = {"role": "user", "content": "once"}
        with backend.client_as("tester") as client:
            return client.post(path, json=body, headers={"idempotency-key": "same"}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(write, range(24)))
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert contents(backend, path) == ["once"]


BAD_BODIES: list[tuple[bytes, int, str]] = [
    (b"{", 422, "JSON"),
    (b"\xff\xfe", 422, "body"),
    (b'{"role": "user"}', 422, "body/content"),
    (b'{"role": "robot", "content": "x"}', 422, "body/role"),
    (b'{"role": "user", "content": 7}', 422, "body/content"),
    (b'{"role": "user", "content": ""}', 422, "body/content"),
    (b'{"role": "user", "content": "x", "extra": 1}', 422, "body/extra"),
    (b'{"role": "user", "content": "a\\u0000b"}', 422, "U+0000"),
    (b'{"role": "user", "content": "\\ud800"}', 422, "body/content"),
    (b'{"role": "user", "content": "\xc3\x28"}', 400, "body"),
    (b'{"role": "user", "content": "' + "ä".encode() * 32769 + b'"}', 422, "65536 bytes"),
    (b'{"role": "user", "content": "' + b"x" * 500_000 + b'"}', 413, "larger than"),
    (b"[" * 100_000, 400, "body"),
    (b'{"role": "user", "content": NaN}', 422, "body"),
    (b"null", 422, "body"),
    (b"", 422, "body"),
]


def test_bad_bodies_get_a_problem_document_and_store_nothing(backend: Backend) -> None:
    path = backend.new_chat()
    for body, status, detail in BAD_BODIES:
        answer = backend.client.post(path, content=body, headers={"content-type": "application/json"})
        case = (body[:60], answer.text[:500])
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), case
        assert answer.json()["status"] == status, case
        assert detail in answer.text, case
        assert '"input"' not in answer.text, case
    assert contents(backend, path) == []


def test_an_endless_body_is_cut_off(backend: Backend) -> None:
    chunks = (b"x" * 65536 for _ in range(64))  # sent chunked: no length is announced
    answer = backend.client.post(backend.new_chat(), content=chunks)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_the_largest_content_is_kept_and_served_from_every_tier(backend: Backend) -> None:
    path = backend.new_chat()
    content = "ä" * 32768
    for _ in range(3):
        say(backend, path, content)
    assert contents(backend, path) == [content] * 3
    assert contents(backend, path) == [content] * 3


BAD_REQUESTS = [
    ("GET", "/api/chats/not-a-uuid/messages", 422),
    ("GET", "{chat}/messages?limit=0", 422),
    ("GET", "{chat}/messages?limit=101", 422),
    ("GET", "{chat}/messages?limit=99999999999999999999999", 422),
    ("GET", "{chat}/messages?limit=x", 422),
    ("GET", "{chat}/messages?cursor=x", 422),
    ("GET", "{chat}/messages?cursor=" + "A" * 500, 422),
    ("GET", "{chat}/messages?cursor=bf__________", 422),
    ("GET", "{chat}/messages?cursor=%00", 422),
    ("GET", "{chat}/messages?cursor=%FF%FE", 422),
    ("GET", "{chat}/messages?cursor=*%0d%0aSET%20pidea:x", 422),
    ("GET", "/api/chats?cursor=bQAAAAAAAAAC", 422),
    ("GET", "/api/search", 422),
    ("GET", "/api/search?q=" + "x" * 201, 422),
    ("PATCH", "{chat}/messages/0", 422),
    ("PATCH", "{chat}/messages/99999999999999999999", 422),
    ("DELETE", "{chat}/messages/-1", 422),
    ("DELETE", "{chat}/messages", 405),
    ("GET", "/nowhere", 404),
    ("GET", "/api/nowhere", 404),
]


def test_bad_requests_get_a_problem_document(backend: Backend) -> None:
    chat = backend.new_chat().removesuffix("/messages")
    for method, path, status in BAD_REQUESTS:
        answer = backend.client.request(method, path.replace("{chat}", chat))
        case = (method, path[:80], answer.text[:300])
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), case
        assert answer.json()["title"], case


def test_bad_headers_get_a_problem_document(backend: Backend) -> None:
    path = backend.new_chat()
    for name, value in [
        ("x-request-timeout-ms", "0"),
        ("x-request-timeout-ms", "-5"),
        ("x-request-timeout-ms", "1e3"),
        ("x-request-timeout-ms", "9" * 400),
        ("x-client-id", "a b"),
        ("x-client-id", "x" * 65),
        ("idempotency-key", ""),
        ("idempotency-key", "a b"),
        ("idempotency-key", "x" * 256),
    ]:
        answer = backend.client.post(path, json={"role": "user", "content": "x"}, headers={name: value})
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), (name, value)
    assert contents(backend, path) == []


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer wrong", "bearer  x y", "Basic dGVzdGVyOng=", "Bearer " + "x" * 9000],
)
def test_without_a_valid_token_nothing_is_told(backend: Backend, given: str | None) -> None:
    anonymous = backend.client_as(None)
    headers = {} if given is None else {"authorization": given}
    for path in ("/api/chats", f"/api/chats/{uuid.uuid4()}/messages", "/api/nowhere"):
        answer = anonymous.get(path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert answer.headers["www-authenticate"].startswith('Bearer realm="pidea"')
    for open_path in ("/api/health", "/api/health/live", "/api/health/ready", "/status", "/api/openapi.json"):
        assert anonymous.get(open_path).status_code == 200, open_path


def test_feedback_and_web_vitals_are_taken_and_counted(backend: Backend) -> None:
    assert backend.client.post("/api/feedback", json={"score": 5, "comment": "fast"}).status_code == 201
    assert backend.client.post("/api/feedback", json={"score": 6}).status_code == 422
    assert backend.client.post("/api/ux", json={"page": "/chat", "lcp_ms": 800, "cls": 0.02}).status_code == 204
    assert backend.client.post("/api/ux", json={"page": "/chat"}).status_code == 422
    assert backend.metric('pidea_feedback_total{score="5",variant="optimised"}') == 1
    assert backend.metric('pidea_web_vital_seconds_sum{name="lcp",variant="optimised"}') == 0.8
    assert backend.client.get("/api/status").json()["figures"]["csat"] == 1.0


def test_the_short_way_answers_as_the_route_does(backend: Backend) -> None:
    path, stranger = backend.new_chat(), backend.client_as("other")
    for content in ("one", "two", "three"):
        say(backend, path, content)
    unknown = f"/api/chats/{uuid.uuid4()}/messages"
    for query in ("", "limit=1", "limit=2", "limit=100"):
        etag = backend.client.get(f"{path}?{query}").headers["etag"]
        cases = [
            (200, backend.client, path, {}),
            (304, backend.client, path, {"if-none-match": etag}),
            (404, backend.client, unknown, {}),
            (404, stranger, path, {}),
        ]
        for status, client, wanted, headers in cases:
            # A parameter that no operation knows is ignored by the route, and not for the short way.
            short, long = (client.get(f"{wanted}?{query}{more}", headers=headers) for more in ("", "&unknown=1"))
            assert (short.status_code, long.status_code) == (status, status)
            if status == 404:
                assert {**short.json(), "trace_id": ""} == {**long.json(), "trace_id": ""}
            else:
                assert short.content == long.content
                assert told(short) == told(long)


def told(answer: httpx.Response) -> dict[str, str]:
    """All headers but those that change with time and the tier."""
    return {
        name: value for name, value in answer.headers.items() if name not in ("date", "age", "x-cache", "x-trace-id")
    }
