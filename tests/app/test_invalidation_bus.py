"""Writes of other replicas: heard at once, and after every gap in the connection nothing is taken for sure."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.cache import invalidations
from app.cache.invalidations import Invalidations
from app.cache.redis_tier import channel, message
from app.events import CacheInvalidated, Event
from app.settings import Settings
from app.storage import redis
from app.web.clients import Clients
from tests.app.conftest import Workbench
from tests.app.servers import PASSWORD, WAIT_SECONDS, Backend, RedisServer, eventually

pytestmark = pytest.mark.app

CHANNEL = channel("pidea")


def client_of(server: RedisServer, username: str) -> Any:
    return redis.client(
        Settings(
            clients=Clients({}),
            redis_host="127.0.0.1",
            redis_port=server.port,
            redis_username=username,
            redis_password=SecretStr(PASSWORD if username == "app" else "any"),
        )
    )


class Ear:
    """A listener; what it was told, in order: groups, and None for "something may have been missed"."""

    def __init__(self, client: Any, sender: str, namespace: str) -> None:
        self.heard: list[str | None] = []
        self.events: list[Event] = []
        self.bus = Invalidations(
            client,
            self.events.append,
            sender=sender,
            namespace=namespace,
            on_group=self._hear,
            on_gap=lambda: self.heard.append(None),
        )
        self.task = asyncio.create_task(self.bus.run())

    def _hear(self, group: str, perhaps: bool) -> None:
        self.heard.append(f"{group}, perhaps" if perhaps else group)

    @property
    def groups(self) -> list[str]:
        return [group for group in self.heard if group is not None]

    @property
    def gaps(self) -> int:
        return self.heard.count(None)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task], timeout=WAIT_SECONDS)
        assert self.task.cancelled()


class World:
    """Listeners on one server, and somebody who says things to them."""

    def __init__(self, server: RedisServer, stack: AsyncExitStack) -> None:
        self.server = server
        self._stack = stack
        self.admin = self.client("default")

    def client(self, username: str = "app") -> Any:
        client = client_of(self.server, username)
        self._stack.push_async_callback(client.aclose)
        return client

    def ear(self, sender: str = "here", namespace: str = "pidea") -> Ear:
        ear = Ear(self.client("app" if namespace == "pidea" else "default"), sender, namespace)
        self._stack.push_async_callback(ear.stop)
        return ear

    async def connected(self, sender: str = "here", namespace: str = "pidea") -> Ear:
        ear = self.ear(sender, namespace)
        await until(lambda: ear.bus.connected, "it listens")
        return ear

    async def say(self, data: str | bytes) -> None:
        # Not the administrator's client: its connection may be one from before a restart.
        assert await self.client("default").publish(CHANNEL, data) > 0, "somebody listens"


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.005)


def play(server: RedisServer, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            world = World(server, stack)
            stack.callback(lambda: server.process.send_signal(signal.SIGCONT))
            await scenario(world)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_a_message_reaches_every_other_listener_and_not_its_sender(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        ears = [await world.connected(sender) for sender in ("one", "two", "three")]
        assert await world.client().publish(CHANNEL, "one chat") == 3
        await world.say("stranger last")
        for ear in ears:
            await until(lambda ear=ear: "last" in ear.groups, "all was heard")  # type: ignore[misc]
        assert [ear.heard for ear in ears] == [[None, "last"], [None, "chat", "last"], [None, "chat", "last"]]
        assert ears[0].events == [CacheInvalidated(remote=True)]

    play(redis_server, scenario)


def test_a_message_says_whether_the_write_is_sure(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        ear = await world.connected("here")
        for sender, group, perhaps in (("here", "own", True), ("there", "a", True), ("there", "b", False)):
            await world.say(message(sender, group, perhaps))
        await until(lambda: "b" in ear.groups, "all was heard")
        assert ear.groups == ["a, perhaps", "b"]

    play(redis_server, scenario)


def test_groups_arrive_in_order_and_as_they_were_sent(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        ear = await world.connected()
        groups = ["two words", "ж🙂", " leading", "a:b", "\r\nFLUSHALL\r\n", "x" * 10_000, *map(str, range(500))]
        for group in groups:
            await world.say(f"there {group}")
        await until(lambda: len(ear.groups) == len(groups), "all are heard")
        assert ear.groups == groups

    play(redis_server, scenario)


@pytest.mark.parametrize("data", [b"", b" ", b"nogroup", b"there ", b"\x00", b"\xff\xfe\xfd", b"x" * 100_000])
def test_a_malformed_message_is_ignored_and_the_next_one_is_heard(redis_server: RedisServer, data: bytes) -> None:
    async def scenario(world: World) -> None:
        ear = await world.connected()
        await world.say(data)
        await world.say("there chat")
        await until(lambda: bool(ear.groups), "the next one is heard")
        assert ear.heard == [None, "chat"]
        assert ear.bus.connected

    play(redis_server, scenario)


def test_bytes_that_are_no_text_do_not_end_the_listening(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        ear = await world.connected()
        await world.say(b"\xff \xfe")
        await world.say("there chat")
        await until(lambda: "chat" in ear.groups, "the next one is heard")
        assert ear.gaps == 1

    play(redis_server, scenario)


def test_other_namespaces_are_not_heard(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        ear, other = await world.connected(), await world.connected(namespace="pidea-next")
        await world.admin.publish(channel("pidea-next"), "there elsewhere")
        await world.say("there here")
        await until(lambda: bool(ear.groups) and bool(other.groups), "both heard something")
        assert (ear.groups, other.groups) == (["here"], ["elsewhere"])

    play(redis_server, scenario)


def test_nothing_is_sure_before_the_first_message_can_be_heard(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        redis_server.stop()
        ear = world.ear()
        # Time for a few attempts, none of which may be taken for a success.
        await asyncio.sleep(0.2)
        assert (ear.heard, ear.bus.connected) == ([], False)
        redis_server.start()
        await until(lambda: ear.bus.connected, "it listens")
        assert ear.heard == [None]

    play(redis_server, scenario)


def test_after_a_restart_of_redis_all_is_unsure_and_messages_are_heard_again(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        ear = await world.connected()
        for round_number in range(2):
            ear.heard.clear()
            redis_server.stop()
            await until(lambda: not ear.bus.connected, "the loss is noticed")
            assert ear.heard == [None], "from now on messages may be missed"
            redis_server.start()
            await until(lambda: ear.bus.connected, "it listens again")
            assert ear.heard == [None, None], "until now messages may have been missed"
            await world.say(f"there {round_number}")
            await until(lambda: bool(ear.groups), "messages are heard again")
            assert ear.groups == [str(round_number)]

    play(redis_server, scenario)


def test_a_connection_that_redis_ends_is_a_gap_too(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        ear = await world.connected()
        assert await world.admin.client_kill_filter(_type="pubsub") == 1
        await until(lambda: ear.gaps == 3, "lost and found")
        await world.say("there chat")
        await until(lambda: ear.groups == ["chat"], "messages are heard again")

    play(redis_server, scenario)


def test_a_connection_that_says_nothing_is_asked_and_given_up(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidations, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(invalidations, "ANSWER_SECONDS", 1.0)

    async def scenario(world: World) -> None:
        ear = await world.connected()
        deadline = time.monotonic() + WAIT_SECONDS
        while (await world.admin.info("commandstats")).get("cmdstat_ping", {"calls": 0})["calls"] < 3:
            assert time.monotonic() < deadline, "it does not ask"
            await asyncio.sleep(0.02)
        assert ear.heard == [None], "who answers is not given up"
        redis_server.process.send_signal(signal.SIGSTOP)
        await until(lambda: not ear.bus.connected, "the silence is noticed")
        assert ear.heard == [None, None]
        redis_server.process.send_signal(signal.SIGCONT)
        await until(lambda: ear.bus.connected, "it listens again")
        await world.say("there chat")
        await until(lambda: bool(ear.groups), "messages are heard again")
        assert ear.gaps == 3

    play(redis_server, scenario)


def test_stopping_leaves_no_task_and_no_subscription(redis_server: RedisServer) -> None:
    async def scenario(world: World) -> None:
        ear = await world.connected()
        assert dict(await world.admin.pubsub_numsub(CHANNEL)) == {CHANNEL.encode(): 1}
        before = asyncio.all_tasks()
        await ear.stop()
        assert asyncio.all_tasks() == before - {ear.task}
        assert (ear.bus.connected, ear.heard) == (False, [None, None])

        deadline = time.monotonic() + WAIT_SECONDS
        while dict(await world.admin.pubsub_numsub(CHANNEL))[CHANNEL.encode()]:
            assert time.monotonic() < deadline, "Redis still has the subscription"
            await asyncio.sleep(0.01)

    play(redis_server, scenario)


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_stopping_while_redis_is_away_ends_too(redis_server: RedisServer, how: str) -> None:
    async def scenario(world: World) -> None:
        ear = await world.connected()
        if how == "stopped":
            redis_server.stop()
            await until(lambda: not ear.bus.connected, "the loss is noticed")
        else:
            redis_server.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        await ear.stop()
        assert time.monotonic() - began < 3

    play(redis_server, scenario)


# Two whole processes, each with an L1 that by itself would keep what it has for a minute.


@pytest.fixture
def replicas(bench: Workbench) -> tuple[Backend, Backend]:
    first, second = bench.start(L1_TTL_MILLISECONDS="60000"), bench.start(L1_TTL_MILLISECONDS="60000")
    for backend in (first, second):
        hears(backend.wait_until_ready())
    return first, second


def hears(backend: Backend) -> None:
    eventually(lambda: backend.metric("pidea_cache_invalidations_connected") == 1, "it hears the other replicas")


def until_l1_has(backend: Backend, path: str) -> httpx.Response:
    """A read that L1 served."""

    def read() -> httpx.Response | None:
        answer = backend.client.get(path)
        return answer if answer.headers["x-cache"] == "l1" else None

    return eventually(read, "the page is in L1")


def page(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [message["content"] for message in answer.json()["messages"]]


def seconds_until(backend: Backend, path: str, expected: Callable[[httpx.Response], bool], what: str) -> float:
    """How long it takes until a read of the path is as expected; far less than L1 would keep what it has."""
    began = time.monotonic()
    eventually(lambda: expected(backend.client.get(path)), what)
    seconds = time.monotonic() - began
    assert seconds < 10
    return seconds


def test_every_kind_of_write_through_one_process_is_seen_through_the_other_within_a_second(
    replicas: tuple[Backend, Backend],
) -> None:
    writer, reader = replicas
    path = writer.new_chat("first title")
    chat = path.removesuffix("/messages")
    took = []

    assert page(until_l1_has(reader, path)) == []
    location = writer.client.post(path, json={"role": "user", "content": "one"}).headers["location"]
    took.append(seconds_until(reader, path, lambda answer: page(answer) == ["one"], "an append"))

    until_l1_has(reader, path)
    assert writer.client.patch(location, json={"content": "two"}).status_code == 200
    took.append(seconds_until(reader, path, lambda answer: page(answer) == ["two"], "an edit"))

    until_l1_has(reader, path)
    assert writer.client.delete(location).status_code == 204
    took.append(seconds_until(reader, path, lambda answer: page(answer) == [], "a message's removal"))

    assert until_l1_has(reader, chat).json()["title"] == "first title"
    assert writer.client.patch(chat, json={"title": "second title"}).status_code == 200
    took.append(
        seconds_until(reader, chat, lambda answer: bool(answer.json()["title"] == "second title"), "a new title")
    )

    until_l1_has(reader, chat)
    until_l1_has(reader, path)
    assert writer.client.delete(chat).status_code == 204
    took.append(seconds_until(reader, chat, lambda answer: answer.status_code == 404, "the chat's removal"))
    assert reader.client.get(path).status_code == 404
    # The median: a busy machine may hold up one of them for longer.
    assert sorted(took)[len(took) // 2] < 1.0
    assert reader.metric('pidea_cache_invalidations_total{origin="replica"}') >= 5
    assert writer.metric('pidea_cache_invalidations_total{origin="replica"}') == 0


def test_a_write_leaves_other_chats_in_the_other_process_alone(replicas: tuple[Backend, Backend]) -> None:
    writer, reader = replicas
    written, other = writer.new_chat(), writer.new_chat()
    until_l1_has(reader, written)
    until_l1_has(reader, other)
    writer.client.post(written, json={"role": "user", "content": "one"})
    seconds_until(reader, written, lambda answer: page(answer) == ["one"], "the write")
    assert reader.client.get(other).headers["x-cache"] == "l1"


def test_what_was_written_while_nobody_could_hear_it_is_seen_when_redis_is_back(
    replicas: tuple[Backend, Backend], redis_server: RedisServer
) -> None:
    writer, reader = replicas
    path = writer.new_chat()
    until_l1_has(reader, path)
    redis_server.stop()
    eventually(lambda: reader.metric("pidea_cache_invalidations_connected") == 0, "the loss is noticed")
    assert page(until_l1_has(reader, path)) == []
    assert writer.client.post(path, json={"role": "user", "content": "meanwhile"}).status_code == 201
    assert page(reader.client.get(path)) == [], "it cannot know yet"
    # A writer that is gone cannot tell anybody any more: only the gap is left to go by.
    writer.close()
    redis_server.start()
    hears(reader)
    assert page(reader.client.get(path)) == ["meanwhile"]
