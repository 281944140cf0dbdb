"""Assignment of clients to variants, and the middleware that does it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app import context
from app.context import OPTIMISED
from app.experience.experiments import Experiment
from app.web.experiment import AssignVariant

CLIENTS = [f"client-{number}" for number in range(4000)]


def experiment(weights: dict[str, int], name: str = "cache") -> Experiment:
    return Experiment.model_validate(
        json.dumps({"name": name, "variants": [{"name": arm, "weight": weight} for arm, weight in weights.items()]})
    )


def assign(subject: Experiment) -> dict[str, str]:
    return {client: subject.assign(client).name for client in CLIENTS}


@given(st.text(), st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 1000), min_size=1))
@settings(max_examples=50, deadline=None)
def test_a_client_has_the_same_variant_in_every_replica(client: str, weights: dict[str, int]) -> None:
    assert experiment(weights).assign(client) == experiment(weights).assign(client)


def test_shares_follow_the_weights() -> None:
    shares = Counter(assign(experiment({"a": 1, "b": 3, "c": 6})).values())
    # Binomial: the standard deviation is at most 32 clients of 4,000; five of them.
    assert shares == {name: pytest.approx(400 * weight, abs=160) for name, weight in {"a": 1, "b": 3, "c": 6}.items()}


def test_a_raised_weight_moves_clients_to_its_variant_only() -> None:
    before, after = assign(experiment({"a": 5, "b": 5, "c": 5})), assign(experiment({"a": 5, "b": 5, "c": 10}))
    moved = {client for client in CLIENTS if before[client] != after[client]}
    assert {after[client] for client in moved} == {"c"}
    # c goes from a third to a half: one client in six.
    assert len(moved) == pytest.approx(len(CLIENTS) / 6, abs=120)


def test_the_order_of_the_variants_does_not_matter() -> None:
    assert assign(experiment({"a": 2, "b": 1})) == assign(experiment({"b": 1, "a": 2}))


def test_a_weight_of_zero_gets_nobody() -> None:
    assert set(assign(experiment({"a": 0, "b": 1})).values()) == {"b"}


def test_another_experiment_deals_the_clients_anew() -> None:
    one, two = assign(experiment({"a": 1, "b": 1}, "one")), assign(experiment({"a": 1, "b": 1}, "two"))
    same = sum(one[client] == two[client] for client in CLIENTS)
    assert same == pytest.approx(len(CLIENTS) / 2, abs=160)


def test_a_variant_switches_off_what_it_names() -> None:
    text = '{"name": "x", "variants": [{"name": "plain", "weight": 1, "off": ["l1", "breaker"]}]}'
    chosen = Experiment.model_validate(text).assign("anybody")
    assert (chosen.name, chosen.l1, chosen.l2, chosen.l3, chosen.dedup, chosen.breaker) == (
        "plain",
        *(False, True, True, True, False),
    )


def test_without_an_experiment_everything_is_on() -> None:
    assert Experiment().assign("anybody") == OPTIMISED


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no json", "must be a JSON object"),
        ('{"variants": []}', "at least 1 item"),
        ('{"variants": [{"name": "a", "weight": 0}]}', "at least one variant must have a weight above 0"),
        (
            '{"variants": [{"name": "a", "weight": 1}, {"name": "a", "weight": 2}]}',
            "every variant must have a name of its own",
        ),
        ('{"variants": [{"name": "A b", "weight": 1}]}', "variants.0.name"),
        ('{"variants": [{"name": "a", "weight": -1}]}', "variants.0.weight"),
        ('{"variants": [{"name": "a", "weight": 1, "off": ["l4"]}]}', "variants.0.off.0"),
        ('{"wariants": []}', "wariants"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem.replace(".", r"\.")):
        Experiment.model_validate(text)


class AsCaller:
    """Stands where authentication is."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context.use_caller(self._name)
        await self._app(scope, receive, send)


def ask(
    subject: Experiment, client_id: str | None = None, *, caller: str = "", address: str = "192.0.2.1"
) -> httpx.Response:
    async def show(_: Request) -> JSONResponse:
        return JSONResponse({"variant": context.variant().name, "client_id": context.client_id()})

    middleware = [Middleware(AsCaller, name=caller), Middleware(AssignVariant, experiment=subject)]
    app = Starlette(routes=[Route("/", show)], middleware=middleware)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return await http.get("/", headers=None if client_id is None else {b"X-Client-Id": client_id.encode()})

    return asyncio.run(run())


def test_the_request_runs_with_the_variant_that_the_answer_names() -> None:
    subject = experiment({"a": 1, "b": 1})
    answers = {client: ask(subject, client) for client in CLIENTS[:20]}
    for client, answer in answers.items():
        expected = subject.assign(client).name
        assert answer.headers["x-variant"] == expected
        assert answer.json() == {"variant": expected, "client_id": client}
    assert len({answer.headers["x-variant"] for answer in answers.values()}) == 2


def test_the_header_counts_before_the_caller_and_the_caller_before_the_address() -> None:
    subject = experiment({"a": 1, "b": 1})
    in_a, in_b = (next(client for client in CLIENTS if subject.assign(client).name == arm) for arm in "ab")
    assert ask(subject, in_a, caller=in_b, address=in_b).headers["x-variant"] == "a"
    assert ask(subject, caller=in_a, address=in_b).headers["x-variant"] == "a"
    assert ask(subject, address=in_a).headers["x-variant"] == "a"
    assert ask(subject, in_b, caller=in_a, address=in_a).headers["x-variant"] == "b"


def test_nothing_is_said_while_there_is_one_variant_only() -> None:
    answer = ask(experiment({"a": 1}), "me")
    assert answer.json() == {"variant": "a", "client_id": "me"}
    assert "x-variant" not in answer.headers


@pytest.mark.parametrize("client_id", ["", "x" * 65, "a b", "a/b", "é", "a\tb"])
@pytest.mark.parametrize("arms", [{"a": 1}, {"a": 1, "b": 1}])
def test_a_header_that_is_no_client_id_is_refused(client_id: str, arms: dict[str, int]) -> None:
    answer = ask(experiment(arms), client_id)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "X-Client-Id" in answer.json()["detail"]


def test_the_longest_client_id_is_taken() -> None:
    assert ask(Experiment(), "aZ09._-" + "x" * 57).status_code == 200
