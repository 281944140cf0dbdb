"""Metrics of several worker processes: all of them in one exposition, and what a silent or broken one costs."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from app import events
from app.telemetry.metrics import Metrics, expose
from app.telemetry.workers import Expose, Worker, gather, merge, offered

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SHED = 'pidea_http_requests_shed_total{worker="%d",reason="overload"}'


def exposer(index: int, *heard: events.Event) -> Expose:
    """What a worker would answer that has heard these events."""
    metrics = Metrics("1.2.3", f"worker-{index}", apdex_threshold_seconds=0.1)
    for event in heard:
        metrics.on_event(event)
    return partial(expose, metrics)


def shed(times: int) -> list[events.Event]:
    return [events.RequestShed("overload")] * times


def samples(text: str) -> dict[str, float]:
    """The value of every sample, by its name and labels as they are written; no sample may come twice."""
    lines = [line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#"]
    assert len({name for name, _, _ in lines}) == len(lines)
    return {name: float(value) for name, _, value in lines}


@asynccontextmanager
async def workers(folder: Path, exposers: Mapping[int, Expose]) -> AsyncIterator[None]:
    """The sockets of these workers of three."""
    async with AsyncExitStack() as stack:
        for index, exposing in exposers.items():
            await stack.enter_async_context(offered(Worker(index, 3, folder), exposing))
        yield


def scrape(folder: Path, exposers: Mapping[int, Expose], *, index: int = 0, accept: str = TEXT) -> str:
    """What one of three workers answers to a scrape, while those that are given are there."""

    async def run() -> str:
        async with workers(folder, exposers):
            return (await gather(Worker(index, 3, folder), exposers[index], accept)).decode()

    return asyncio.run(run())


def scrape_beside(folder: Path, answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> dict[str, float]:
    """What worker 0 of two answers to a scrape while worker 1 answers in a way of its own."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(writer)
        finally:
            writer.close()

    async def run() -> bytes:
        async with await asyncio.start_unix_server(serve, folder / "1.sock"):
            return await gather(Worker(0, 2, folder), exposer(0, *shed(2)), TEXT)

    return samples(asyncio.run(run()).decode())


def test_a_worker_alone_answers_as_if_there_were_no_others() -> None:
    assert asyncio.run(gather(Worker(0, 1), lambda accept: accept.encode(), TEXT)) == TEXT.encode()


def test_a_worker_alone_makes_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def run() -> None:
        async with offered(Worker(0, 1), exposer(0)):
            assert list(tmp_path.iterdir()) == []

    asyncio.run(run())


@pytest.mark.parametrize("index", [0, 1, 2])
def test_whichever_is_asked_tells_of_all(tmp_path: Path, index: int) -> None:
    exposers = {number: exposer(number, *shed(number + 1)) for number in range(3)}
    found = samples(scrape(tmp_path, exposers, index=index))
    assert {name: value for name, value in found.items() if "_shed_total" in name} == {
        SHED % number: number + 1 for number in range(3)
    }


def test_histograms_have_the_buckets_of_each_worker(tmp_path: Path) -> None:
    exposers = {
        number: exposer(number, *[events.TierLookedUp("l2", True, 0.003)] * (number + 1), events.RequestStarted())
        for number in range(3)
    }
    found = samples(scrape(tmp_path, exposers))
    sums: dict[str, float] = defaultdict(float)
    for name, value in found.items():
        sums[name.split("{")[0]] += value
    assert sums["pidea_cache_lookup_duration_seconds_count"] == 6
    assert sums["pidea_cache_lookup_duration_seconds_sum"] == pytest.approx(0.018)
    bucket = 'pidea_cache_lookup_duration_seconds_bucket{worker="%d",le="%s",tier="l2"}'
    assert [found[bucket % (number, "0.005")] for number in range(3)] == [1, 2, 3]
    assert [found[bucket % (number, "0.0025")] for number in range(3)] == [0, 0, 0]


def test_gauges_keep_what_they_mean_for_each_worker(tmp_path: Path) -> None:
    exposers = {number: exposer(number, *[events.RequestStarted()] * number) for number in range(3)}
    found = samples(scrape(tmp_path, exposers))
    assert [found[f'pidea_http_requests_in_flight{{worker="{number}"}}'] for number in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(("accept", "parse"), [(TEXT, parse_text), (OPENMETRICS, parse_openmetrics)])
def test_parsers_read_the_whole_in_both_formats(
    tmp_path: Path, accept: str, parse: Callable[[str], list[object]]
) -> None:
    heard = [events.ReadServed("l2", False, True), *shed(1), events.TierLookedUp("l2", False, 0.1)]
    exposers = {number: exposer(number, *heard) for number in range(3)}
    text = scrape(tmp_path, exposers, accept=accept)
    alone = exposers[0](accept).decode()
    assert [str(line) for line in text.splitlines() if line.startswith("#")] == [
        line for line in alone.splitlines() if line.startswith("#")
    ], "each family once, each with its help and its type"
    assert len(list(parse(text))) == len(list(parse(alone)))
    assert text.endswith("# EOF\n") == (accept == OPENMETRICS)


def test_an_exemplar_stays_with_its_sample() -> None:
    text = (
        "# HELP a_seconds Time.\n# TYPE a_seconds histogram\n"
        'a_seconds_bucket{le="1.0"} 1.0 # {trace_id="0af7"} 0.5 1700000000.0\n# EOF\n'
    )
    merged = merge({0: text, 7: text})
    for index in (0, 7):
        assert f'a_seconds_bucket{{worker="{index}",le="1.0"}} 1.0 # {{trace_id="0af7"}} 0.5 1700000000.0\n' in merged
    assert merged.count("# EOF") == 1


def test_nobody_makes_an_empty_exposition() -> None:
    assert samples(merge({})) == {}


def test_families_that_only_some_workers_have_are_there() -> None:
    one, two = ("# HELP %s X.\n# TYPE %s gauge\n%s 1.0\n" % ((name,) * 3) for name in ("one", "two"))
    assert samples(merge({0: one, 1: two + one})) == {
        'one{worker="0"}': 1,
        'two{worker="1"}': 1,
        'one{worker="1"}': 1,
    }


@given(st.dictionaries(st.integers(0, 31), st.integers(0, 10**6), min_size=1))
@settings(deadline=None)
def test_counters_of_all_workers_add_up(counts: dict[int, int]) -> None:
    texts = {index: f"# TYPE a_total counter\na_total {count}\n" for index, count in counts.items()}
    assert sum(samples(merge(texts)).values()) == sum(counts.values())


@pytest.mark.parametrize("value", ["/api/chats/{chat_id}", "a,b", 'say \\"x\\"', "a\\\\b", "a b", "", "a} b", "é"])
def test_what_a_label_may_say_does_not_matter(value: str) -> None:
    merged = merge({0: f'# TYPE a gauge\na{{x="{value}"}} 1.0\n'})
    assert merged == f'# TYPE a gauge\na{{worker="0",x="{value}"}} 1.0\n'


def test_a_label_with_a_line_separator_that_is_no_line_end_in_the_format_is_kept() -> None:
    # REVISION and VERSION come from the environment, and are labels of pidea_build_info.
    merged = merge({0: '# TYPE a gauge\na{x="b\u2028c"} 1.0\n'})
    assert merged == '# TYPE a gauge\na{worker="0",x="b\u2028c"} 1.0\n'


def test_a_worker_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    found = samples(scrape(tmp_path, {0: exposer(0, *shed(2)), 2: exposer(2, *shed(3))}))
    assert (found[SHED % 0], found[SHED % 2]) == (2, 3)
    assert SHED % 1 not in found


def test_a_socket_that_nobody_listens_on_any_more_is_left_out(tmp_path: Path) -> None:
    async def run() -> bytes:
        async with workers(tmp_path, {1: exposer(1, *shed(5))}):
            pass
        assert (tmp_path / "1.sock").exists()
        return await gather(Worker(0, 2, tmp_path), exposer(0, *shed(2)), TEXT)

    found = samples(asyncio.run(run()).decode())
    assert found[SHED % 0] == 2
    assert SHED % 1 not in found


def test_a_worker_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    async def run() -> bytes:
        async with await asyncio.start_unix_server(serve, tmp_path / "1.sock"):
            text = await gather(Worker(0, 2, tmp_path), exposer(0, *shed(2)), TEXT)
            gone.set()
            return text

    begun = time.monotonic()
    found = samples(asyncio.run(run()).decode())
    assert found[SHED % 0] == 2
    assert time.monotonic() - begun < 5


async def _nothing(_: asyncio.StreamWriter) -> None:
    pass


async def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _words(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n<p>\n")


async def _cut_in_a_character(writer: asyncio.StreamWriter) -> None:
    writer.write("# TYPE a gauge\na 1\n# HELP b é".encode()[:-1])


async def _cut_in_a_comment(writer: asyncio.StreamWriter) -> None:
    writer.write(b"# TYPE a gauge\na 1\n# TYP")


@pytest.mark.parametrize("answer", [_nothing, _reset, _words, _cut_in_a_character, _cut_in_a_comment])
def test_a_broken_answer_does_not_break_the_scrape(
    tmp_path: Path, answer: Callable[[asyncio.StreamWriter], Awaitable[None]]
) -> None:
    assert scrape_beside(tmp_path, answer)[SHED % 0] == 2


def test_a_worker_that_cannot_expose_does_not_break_the_scrape(tmp_path: Path) -> None:
    def broken(_: str) -> bytes:
        raise RuntimeError("a gauge's function failed")

    async def run() -> bytes:
        # The error is the other worker's; its loop tells it and goes on.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with workers(tmp_path, {1: broken}):
            return await gather(Worker(0, 2, tmp_path), exposer(0, *shed(2)), TEXT)

    assert samples(asyncio.run(run()).decode())[SHED % 0] == 2


def test_a_large_exposition_arrives_whole(tmp_path: Path) -> None:
    lines = [f'a{{number="{number:05d}"}} 1.0' for number in range(30_000)]
    large = "\n".join(["# TYPE a gauge", *lines, ""]).encode()

    def small(_: str) -> bytes:
        return b"# TYPE a gauge\n"

    found = samples(scrape(tmp_path, {0: small, 1: lambda _: large}))
    assert len(found) == len(lines)


def test_an_answer_in_two_parts_arrives_whole(tmp_path: Path) -> None:
    async def in_two(writer: asyncio.StreamWriter) -> None:
        writer.write(b"# TYPE a gauge\na 1\n# TYPE b gauge\nb 12")
        await writer.drain()
        for _ in range(50):
            await asyncio.sleep(0)
        writer.write(b"34\n")

    found = scrape_beside(tmp_path, in_two)
    assert (found['a{worker="1"}'], found.get('b{worker="1"}')) == (1, 1234)


def test_a_number_that_was_cut_off_is_not_told(tmp_path: Path) -> None:
    async def end_early(writer: asyncio.StreamWriter) -> None:
        writer.write(b"# TYPE b_total counter\nb_total 12")

    assert 'b_total{worker="1"}' not in scrape_beside(tmp_path, end_early), "it was to be 1234"
