"""The middleware that refuses requests: who is let in, what the others are told, and what it may never tell."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app import context
from app.events import Event, RequestShed
from app.web import authenticate, rate_limit
from app.web.admission import Admission
from app.web.authenticate import Authenticate
from app.web.clients import Clients
from app.web.deadline import Deadline
from app.web.rate_limit import Limiter, RateLimit

TOKEN = "a-token-that-nobody-guesses"
CLIENTS = Clients({hashlib.sha256(TOKEN.encode()).digest(): "tester"})
Headers = Mapping[str, str] | list[tuple[str, str]]


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the caller."""
    await PlainTextResponse(context.caller())(scope, receive, send)


async def left(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the seconds that the request has left."""
    await PlainTextResponse(repr(context.remaining_seconds()))(scope, receive, send)


async def fetch(app: ASGIApp, path: str, headers: Headers | None = None, method: str = "GET") -> httpx.Response:
    """One request, in a task of its own as in a server."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await asyncio.create_task(client.request(method, path, headers=headers))


def get(app: ASGIApp, path: str, headers: Headers | None = None, method: str = "GET") -> httpx.Response:
    return asyncio.run(fetch(app, path, headers, method))


class TestAdmission:
    """Load shedding."""

    def play(self, held: int, lag_seconds: float, path: str) -> httpx.Response:
        """The answer to one more request while `held` others of at most 4 are being served and the loop lags."""

        async def run() -> httpx.Response:
            gate = asyncio.Event()
            lag = 0.0

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                if scope["path"] == "/api/slow":
                    await gate.wait()
                await who(scope, receive, send)

            admission = Admission(app, lambda _: None, 4, lambda: lag)
            others = [asyncio.create_task(fetch(admission, "/api/slow")) for _ in range(held)]
            while admission.in_flight < held:
                await asyncio.sleep(0)
            lag = lag_seconds
            answer = await fetch(admission, path)
            gate.set()
            assert {other.status_code for other in await asyncio.gather(*others)} <= {200}
            assert admission.in_flight == 0
            return answer

        return asyncio.run(run())

    @pytest.mark.parametrize(("held", "lag_seconds"), [(4, 0.0), (4, 9.0), (2, 0.26)])
    def test_too_much_at_once_is_refused_with_a_time_to_come_back(self, held: int, lag_seconds: float) -> None:
        answer = self.play(held, lag_seconds, "/api/chats")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert 1 <= int(answer.headers["retry-after"]) <= 3

    @pytest.mark.parametrize(("held", "lag_seconds"), [(3, 0.0), (3, 0.25), (1, 9.0)])
    def test_less_is_let_in(self, held: int, lag_seconds: float) -> None:
        answer = self.play(held, lag_seconds, "/api/chats")
        assert answer.status_code == 200

    @pytest.mark.parametrize("path", ["/api/health", "/api/health/ready", "/api/status", "/status", "/metrics"])
    def test_who_looks_at_the_service_is_always_let_in(self, path: str) -> None:
        answer = self.play(4, 9.0, path)
        assert answer.status_code == 200

    def test_it_tells_that_it_refused(self) -> None:
        events: list[Event] = []
        assert get(Admission(who, events.append, 0, lambda: 0.0), "/api/chats").status_code == 503
        assert events == [RequestShed("overload")]

    def test_a_request_that_breaks_off_gives_its_place_back(self) -> None:
        async def broken(scope: Scope, receive: Receive, send: Send) -> None:
            raise ConnectionError

        admission = Admission(broken, lambda _: None, 1, lambda: 0.0)
        for _ in range(3):
            with pytest.raises(ConnectionError):
                get(admission, "/api/chats")


class TestAuthenticate:
    """Bearer tokens."""

    def app(self) -> Authenticate:
        self.events: list[Event] = []
        return Authenticate(who, self.events.append, CLIENTS)

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_a_known_token_makes_the_caller(self, scheme: str) -> None:
        answer = get(self.app(), "/api/chats", {"Authorization": f"{scheme} {TOKEN}"})
        assert (answer.status_code, answer.text) == (200, "tester")

    def test_without_a_token_the_answer_says_how_to_send_one(self) -> None:
        for headers in ({}, {"Authorization": "Basic dGVzdGVyOnNlY3JldA=="}, {"Authorization": TOKEN}):
            answer = get(self.app(), "/api/chats", headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="pidea"'
            assert "Authorization: Bearer TOKEN" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "token", ["", "wrong", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), f"{TOKEN} {TOKEN}", "x" * 513, "x" * 60_000]
    )
    def test_a_wrong_token_is_refused_and_never_repeated(self, token: str, caplog: pytest.LogCaptureFixture) -> None:
        answer = get(self.app(), "/api/chats", {"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="pidea", error="invalid_token"'
        if token:
            assert token not in answer.text + str(answer.headers) + caplog.text

    @settings(deadline=None, max_examples=200)
    @given(header=st.binary(max_size=40).filter(lambda value: TOKEN.encode() not in value))
    def test_no_bytes_get_in_by_luck_or_break_it(self, header: bytes) -> None:
        sent: list[int] = []

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                sent.append(int(str(message["status"])))

        async def run() -> None:
            scope = {"type": "http", "path": "/api/chats", "method": "GET", "headers": [(b"authorization", header)]}
            await self.app()(scope, None, send)  # type: ignore[arg-type]

        for prefix in (b"", b"Bearer "):
            header = prefix + header
            asyncio.run(run())
        assert sent == [401, 401]

    def test_two_tokens_are_refused_even_if_one_is_right(self) -> None:
        headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer wrong")]
        assert get(self.app(), "/api/chats", headers).status_code == 400

    @pytest.mark.parametrize(
        "path", ["/api/health", "/api/health/live", "/api/health/ready", "/api/status", "/api/openapi.json", "/status"]
    )
    def test_what_is_for_everybody_needs_no_token(self, path: str) -> None:
        assert get(self.app(), path).status_code == 200

    @pytest.mark.parametrize("path", ["/api", "/api/", "/api/healthy", "/api/health/x", "/%61pi/chats", "/api%2Fchats"])
    def test_everything_else_under_api_does(self, path: str) -> None:
        assert get(self.app(), path).status_code == 401

    def test_a_preflight_carries_no_token(self) -> None:
        assert get(self.app(), "/api/chats", method="OPTIONS").status_code == 200

    def test_who_guesses_is_slowed_down_and_others_are_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authenticate, "Limiter", lambda rate: Limiter(rate, lambda: 0.0))
        app = self.app()
        statuses = [get(app, "/api/chats", {"Authorization": f"Bearer {n}"}).status_code for n in range(25)]
        assert statuses == [401] * 20 + [429] * 5
        assert self.events == [RequestShed("authentication")] * 5
        assert get(app, "/api/chats", {"Authorization": f"Bearer {TOKEN}"}).status_code == 200


class TestRateLimit:
    """So many requests a second for each client."""

    @settings(deadline=None, max_examples=200)
    @given(
        per_second=st.sampled_from([0.5, 1.0, 3.0, 200.0]),
        pauses=st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.3, 1.0, 60.0]), min_size=1, max_size=200),
    )
    def test_never_more_than_the_burst_and_the_rate_allow(self, per_second: float, pauses: list[float]) -> None:
        now = 0.0
        limiter = Limiter(per_second, lambda: now)
        allowed: list[float] = []
        for pause in pauses:
            now += pause
            wait_seconds = limiter.wait_seconds("client")
            if wait_seconds == 0.0:
                allowed.append(now)
            else:
                # The time that it names is enough, and no more than that.
                later = now + wait_seconds
                budget = [limiter_at(limiter, later - 0.0005), limiter_at(limiter, later + 1e-6)]
                assert budget[0] > 0.0
                assert budget[1] == 0.0
        for start, began in enumerate(allowed):
            for end in range(start, len(allowed)):
                assert end - start + 1 <= limiter.burst + per_second * (allowed[end] - began) + 1e-6

    def test_each_client_has_an_allowance_of_its_own(self) -> None:
        limiter = Limiter(1.0, lambda: 0.0)
        assert [limiter.wait_seconds("a") for _ in range(3)] == [0.0, 0.0, 1.0]
        assert limiter.wait_seconds("b") == 0.0

    def test_its_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limit, "MAX_CLIENTS", 3)
        limiter = Limiter(1.0, lambda: 0.0)
        for _ in range(2):
            limiter.wait_seconds("busy")
        for name in "abc":
            limiter.wait_seconds(name)
        assert limiter.wait_seconds("busy") == 0.0, "forgotten, as the one that was quiet for longest"
        assert len(limiter._whole_at) == 3

    def app(self, per_second: float, events: list[Event]) -> ASGIApp:
        return Authenticate(RateLimit(who, events.append, per_second), events.append, CLIENTS)

    def test_the_refusal_says_when_to_come_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limit, "Limiter", lambda rate: Limiter(rate, lambda: 0.0))
        events: list[Event] = []
        app = self.app(0.25, events)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert get(app, "/api/chats", headers).status_code == 200
        answer = get(app, "/api/chats", headers)
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/problem+json"
        shown = [answer.headers[name] for name in ("retry-after", "ratelimit-limit", "ratelimit-remaining")]
        assert shown == ["4", "1", "0"]
        assert answer.headers["ratelimit-reset"] == "4"
        assert events == [RequestShed("rate_limit")]
        assert get(app, "/api/health").status_code == 200, "what needs no token is not limited"

    def test_0_switches_it_off(self) -> None:
        events: list[Event] = []
        app = self.app(0.0, events)
        statuses = {get(app, "/api/chats", {"Authorization": f"Bearer {TOKEN}"}).status_code for _ in range(50)}
        assert (statuses, events) == ({200}, [])


def limiter_at(limiter: Limiter, now: float) -> float:
    """What the limiter would say to a request of "client" at another time; nothing is counted."""
    probe = Limiter(1.0 / limiter._interval_seconds, lambda: now)
    probe._whole_at = limiter._whole_at.copy()
    return probe.wait_seconds("client")


class TestDeadline:
    """The time that a request has."""

    remaining: Callable[[httpx.Response], float] = staticmethod(lambda answer: float(answer.text))

    def test_without_the_header_it_is_the_default(self) -> None:
        assert 9 < self.remaining(get(Deadline(left, 10.0), "/api/chats")) <= 10

    def test_the_client_may_ask_for_less_and_never_gets_more(self) -> None:
        app = Deadline(left, 10.0)
        assert 4 < self.remaining(get(app, "/api/chats", {"X-Request-Timeout-Ms": "5000"})) <= 5
        assert 9 < self.remaining(get(app, "/api/chats", {"X-Request-Timeout-Ms": "120000"})) <= 10

    @pytest.mark.parametrize(
        "value", ["", "0", "-1", "+5", "1.5", "1e3", "120001", "9" * 5000, "5 s", "0x10", "5,5", "\u0665".encode()]
    )
    def test_what_is_no_such_number_is_refused(self, value: str | bytes) -> None:
        headers = {"X-Request-Timeout-Ms": value}
        answer = get(Deadline(left, 10.0), "/api/chats", headers)  # type: ignore[arg-type]
        assert answer.status_code == 400
        assert "X-Request-Timeout-Ms" in answer.json()["detail"]
