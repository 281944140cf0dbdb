"""What a rule reads of a resource: every accessor, at every depth, for everything that can be there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pulumi_policy import proxy
from pulumi_policy.proxy import unknown_checking_proxy

from policies.view import (
    CONFIG,
    CONTAINER,
    IMAGE,
    NETWORK,
    SECRET,
    SERVICE,
    VOLUME,
    Malformed,
    Stack,
    Unknown,
    View,
    component,
    config_text,
    listed,
    seconds,
)

SENTINELS = [
    proxy.UNKNOWN_BOOLEAN_VALUE,
    proxy.UNKNOWN_NUMBER_VALUE,
    proxy.UNKNOWN_STRING_VALUE,
    proxy.UNKNOWN_ARRAY_VALUE,
    proxy.UNKNOWN_ASSET_VALUE,
    proxy.UNKNOWN_ARCHIVE_VALUE,
    proxy.UNKNOWN_OBJECT_VALUE,
]
UNKNOWN = proxy.UNKNOWN_STRING_VALUE
SIGNATURE, WRAPPED = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"


def through_pulumi(props: Mapping[str, Any]) -> View:
    return View(unknown_checking_proxy(dict(props)))


# The pack reads proxies, and plain data where it compares with the state before.
both = pytest.mark.parametrize("made", [through_pulumi, View], ids=["proxy", "plain"])
Made = Callable[[Mapping[str, Any]], View]


def wrapped(**content: Any) -> dict[str, Any]:
    return {SIGNATURE: WRAPPED, **content}


def test_types_are_pulumis() -> None:
    kinds = {"service:Service", "network:Network", "volume:Volume", "secret:Secret", "serviceConfig:ServiceConfig"}
    kinds |= {"remoteImage:RemoteImage", "container:Container"}
    assert {SERVICE, NETWORK, VOLUME, SECRET, CONFIG, IMAGE, CONTAINER} == {f"docker:index/{kind}" for kind in kinds}


def test_a_view_tells_whose_it_is() -> None:
    view = View({}, type=SERVICE, name="service-redis", urn="urn:1", protect=True)
    assert (view.type, view.name, view.urn, view.protect) == (SERVICE, "service-redis", "urn:1", True)
    bare = View({})
    assert (bare.type, bare.name, bare.urn, bare.protect) == ("", "", "", False)


@both
def test_what_is_there_is_read_at_each_depth(made: Made) -> None:
    view = made({"a": 1, "b": {"c": {"d": "x"}}})
    assert view.get("a") == 1
    assert view.get("b", "c", "d") == "x"
    inner = view.get("b", "c")
    assert isinstance(inner, View)
    assert inner.get("d") == "x"
    assert view.get("b").get("c").get("d") == "x"
    assert isinstance(view.get(), View)


@both
@pytest.mark.parametrize(
    "props", [{}, {"a": None}, {"a": {}}, {"a": {"b": None}}, {"a": {"b": {}}}, {"a": {"b": {"c": None}}}]
)
def test_missing_and_null_are_absent_at_each_depth(made: Made, props: dict[str, Any]) -> None:
    view = made(props)
    path = ("a", "b", "c")
    assert view.get(*path) is None
    assert view.get(*path, default=7) == 7
    assert view.has(*path) is False
    assert view.text(*path) == ""
    assert view.text(*path, default="x") == "x"
    assert view.number(*path) == 0.0
    assert view.number(*path, default=2) == 2.0
    assert view.flag(*path) is False
    assert view.flag(*path, default=True) is True
    assert view.seconds(*path) == 0.0
    assert view.seconds(*path, default="5s") == 5.0
    assert list(view.each(*path)) == []
    assert view.texts(*path) == []
    assert view.pairs(*path) == {}
    assert view.labels(*path) == {}


@both
@pytest.mark.parametrize("value", [False, 0, "", [], {}])
def test_what_is_empty_is_there_all_the_same(made: Made, value: Any) -> None:
    assert made({"a": value}).has("a") is True


@both
@pytest.mark.parametrize("sentinel", SENTINELS)
@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (lambda value: {"a": value}, "a"),
        (lambda value: {"a": {"b": value}}, "a.b"),
        (lambda value: {"a": {"b": {"c": value}}}, "a.b.c"),
    ],
)
def test_what_is_unknown_is_said_at_each_depth(
    made: Made, sentinel: str, shape: Callable[[Any], dict[str, Any]], said: str
) -> None:
    view = made(shape(sentinel))
    readers = (view.get, view.has, view.text, view.number, view.flag, view.seconds, view.texts, view.pairs, view.labels)
    for read in readers:
        with pytest.raises(Unknown) as caught:
            read("a", "b", "c")
        assert caught.value.path == said
        assert str(caught.value) == said
    with pytest.raises(Unknown, match=f"^{said}$"):
        list(view.each("a", "b", "c"))


@both
def test_an_unknown_neighbour_does_not_matter(made: Made) -> None:
    view = made({"a": UNKNOWN, "b": "x", "c": [{"d": UNKNOWN, "e": "y"}]})
    assert view.text("b") == "x"
    assert [item.text("e") for item in view.each("c")] == ["y"]
    assert view.keys() == ["a", "b", "c"]


@both
@pytest.mark.parametrize(("value", "said"), [("x", "a"), (1, "a"), ([], "a"), (True, "a")])
def test_a_way_through_something_else_than_an_object_is_malformed(made: Made, value: Any, said: str) -> None:
    with pytest.raises(Malformed, match=f"^{said} is not an object$"):
        made({"a": value}).get("a", "b", "c")


@both
def test_a_way_through_something_else_is_malformed_in_the_depth_too(made: Made) -> None:
    with pytest.raises(Malformed, match=r"^a\.b is not an object$"):
        made({"a": {"b": "x"}}).get("a", "b", "c")


def test_a_view_within_another_says_the_whole_way() -> None:
    view = View({"b": {"c": 1}}, path="a")
    with pytest.raises(Malformed, match=r"^a\.b\.c is not a text$"):
        View({"b": {"c": []}}, path="a").text("b", "c")
    with pytest.raises(Malformed, match=r"^a\.b\.c is not true or false$"):
        view.get("b").flag("c")


@both
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (0.5, "0.5"),
        (10001.0, "10001"),
        (268435456, "268435456"),
        (268435456.0, "268435456"),
        (1099511627777.0, "1099511627777"),
    ],
)
def test_text(made: Made, value: Any, text: str) -> None:
    assert made({"a": value}).text("a") == text


@both
@pytest.mark.parametrize("value", [[], {}, ["x"], {"x": "y"}])
def test_what_is_no_text(made: Made, value: Any) -> None:
    with pytest.raises(Malformed, match=r"^a is not a text$"):
        made({"a": value}).text("a")


@both
@pytest.mark.parametrize(("value", "number"), [(3, 3.0), (0.25, 0.25), ("0.5", 0.5), ("-1", -1.0), (0, 0.0)])
def test_number(made: Made, value: Any, number: float) -> None:
    assert made({"a": value}).number("a", default=9) == number


@both
@pytest.mark.parametrize("value", ["x", "", "nan", "inf", "-inf", float("nan"), float("inf"), True, False, [], {}])
def test_what_is_no_number(made: Made, value: Any) -> None:
    with pytest.raises(Malformed, match=r"^a is not a number$"):
        made({"a": value}).number("a")


@both
def test_flag(made: Made) -> None:
    assert made({"a": True}).flag("a") is True
    assert made({"a": False}).flag("a", default=True) is False


@both
@pytest.mark.parametrize("value", ["true", "", 1, 0, [], {}])
def test_what_is_no_flag(made: Made, value: Any) -> None:
    with pytest.raises(Malformed, match=r"^a is not true or false$"):
        made({"a": value}).flag("a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("30s", 30.0),
        ("1m5s", 65.0),
        ("2h", 7200.0),
        ("1h1m1s", 3661.0),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("1s500ms", 1.5),
        ("1000000us", 1.0),
        ("1000000µs", 1.0),
        ("1000000000ns", 1.0),
    ],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)
    assert through_pulumi({"a": text}).seconds("a") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "x", "30", "-5s", "5 s", "5s ", "1m5", "5d", ".s", "1..5s", "00"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration such as 30s or 1m5s$") as caught:
        seconds(text)
    assert str(caught.value).startswith(repr(text))
    with pytest.raises(Malformed) as malformed:
        through_pulumi({"a": {"b": text}}).seconds("a", "b")
    assert str(malformed.value) == f"a.b: {text!r} is not a duration such as 30s or 1m5s"


@both
def test_each(made: Made) -> None:
    view = made({"a": {"b": [{"c": 1}, {}, {"c": 2}]}})
    assert [item.number("c") for item in view.each("a", "b")] == [1.0, 0.0, 2.0]


@both
def test_a_list_item_says_which_it_is(made: Made) -> None:
    view = made({"a": {"b": [{"c": "x"}, {"c": UNKNOWN}, {"c": []}]}})
    first, second, third = view.each("a", "b")
    assert first.text("c") == "x"
    with pytest.raises(Unknown, match=r"^a\.b\[1\]\.c$"):
        second.text("c")
    with pytest.raises(Malformed, match=r"^a\.b\[2\]\.c is not a text$"):
        third.text("c")


@both
@pytest.mark.parametrize("item", ["x", 1, None, [], True])
def test_each_takes_objects_only(made: Made, item: Any) -> None:
    found = made({"a": [{}, item]}).each("a")
    next(found)
    with pytest.raises(Malformed, match=r"^a\[1\] is not an object$"):
        next(found)


@both
def test_an_unknown_item_comes_after_those_before_it(made: Made) -> None:
    found = made({"a": [{"b": "x"}, UNKNOWN, {"b": "y"}]}).each("a")
    assert next(found).text("b") == "x"
    with pytest.raises(Unknown, match=r"^a\[1\]$"):
        next(found)
    with pytest.raises(Unknown, match=r"^a\[0\]$"):
        made({"a": [UNKNOWN]}).texts("a")


@both
def test_texts(made: Made) -> None:
    assert made({"a": ["x", "", "y"]}).texts("a") == ["x", "", "y"]


@both
@pytest.mark.parametrize("item", [1, None, [], {}, True])
def test_texts_takes_texts_only(made: Made, item: Any) -> None:
    with pytest.raises(Malformed, match=r"^a\[1\] is not a text$"):
        made({"a": ["x", item]}).texts("a")


@both
@pytest.mark.parametrize("value", ["x", {}, {"0": "x"}, 1, True])
def test_what_is_no_list(made: Made, value: Any) -> None:
    view = made({"a": value})
    for read in (view.texts, view.labels, lambda *path: list(view.each(*path))):
        with pytest.raises(Malformed, match=r"^a is not a list$"):
            read("a")


@both
def test_pairs(made: Made) -> None:
    view = made({"env": {"A": "x", "B": None, "C": 3, "D": True, "dotted.key": "y"}})
    assert view.pairs("env") == {"A": "x", "B": "", "C": "3", "D": "true", "dotted.key": "y"}


@both
def test_a_providers_notes_are_no_pair(made: Made) -> None:
    assert made({"env": {"__defaults": [], "A": "x"}}).pairs("env") == {"A": "x"}


@both
def test_an_unknown_pair_is_named(made: Made) -> None:
    with pytest.raises(Unknown, match=r"^env\.B$"):
        made({"env": {"A": "x", "B": UNKNOWN}}).pairs("env")
    with pytest.raises(Malformed, match=r"^env\.B is not a text$"):
        made({"env": {"B": []}}).pairs("env")


@both
@pytest.mark.parametrize("value", ["x", [], 1, ["A=x"]])
def test_what_are_no_pairs(made: Made, value: Any) -> None:
    with pytest.raises(Malformed, match=r"^env is not an object$"):
        made({"env": value}).pairs("env")


@both
def test_labels(made: Made) -> None:
    view = made({"labels": [{"label": "a", "value": "x"}, {"label": "b"}]})
    assert view.labels("labels") == {"a": "x", "b": ""}


@both
@pytest.mark.parametrize("content", [{"value": "s3cret"}, {"plaintext": json.dumps("s3cret")}])
def test_a_secrets_wrapping_is_opened(made: Made, content: dict[str, Any]) -> None:
    view = made({"a": wrapped(**content), "b": {"c": wrapped(**content)}, "d": [wrapped(**content)]})
    assert view.text("a") == "s3cret"
    assert view.text("b", "c") == "s3cret"
    assert view.texts("d") == ["s3cret"]


@both
def test_an_object_within_a_secret_is_read_like_any(made: Made) -> None:
    view = made({"a": wrapped(value={"b": "x"}), "c": [wrapped(plaintext=json.dumps({"d": 1}))]})
    assert view.text("a", "b") == "x"
    assert [item.number("d") for item in view.each("c")] == [1.0]
    assert made({"a": wrapped(value=None)}).has("a") is False


@both
def test_an_encrypted_secret_is_unknown(made: Made) -> None:
    view = made({"a": {"b": wrapped(ciphertext="v1:x")}, "c": ["x", wrapped(ciphertext="v1:x")]})
    with pytest.raises(Unknown, match=r"^a\.b$"):
        view.text("a", "b")
    with pytest.raises(Unknown, match=r"^c\[1\]$"):
        view.texts("c")


@both
def test_a_secret_whose_value_is_unknown_is_unknown(made: Made) -> None:
    view = made({"a": wrapped(value=UNKNOWN), "b": [wrapped(value=UNKNOWN)]})
    with pytest.raises(Unknown, match=r"^a$"):
        view.get("a")
    with pytest.raises(Unknown, match=r"^b\[0\]$"):
        view.texts("b")


@both
def test_another_of_pulumis_marks_is_no_secret(made: Made) -> None:
    assert made({"a": {SIGNATURE: "other", "value": "x"}}).text("a", "value") == "x"
    assert made({"a": {"value": "x"}}).text("a", "value") == "x"


def test_a_stack_by_type() -> None:
    service, volume, network = (View({}, type=kind) for kind in (SERVICE, VOLUME, NETWORK))
    stack = Stack([service, volume, network])
    assert stack.before is None
    assert stack.services == [service]
    assert stack.of(VOLUME) == [volume]
    assert stack.of(NETWORK, SERVICE) == [service, network]
    assert stack.of() == []


def test_component() -> None:
    label = {"label": "dev.pidea.component", "value": "redis"}
    assert component(View({"labels": [{"label": "x", "value": "y"}, label]}, name="service-a")) == "redis"
    assert component(View({"labels": []}, name="service-a")) == "service-a"
    assert component(View({}, name="service-a")) == "service-a"
    assert component(View({"labels": [{**label, "value": ""}]}, name="service-a")) == "service-a"
    with pytest.raises(Unknown, match=r"^labels$"):
        component(through_pulumi({"labels": UNKNOWN}))


def test_config_text() -> None:
    assert config_text(View({"data": base64.b64encode("Größe: 1\n".encode()).decode()})) == "Größe: 1\n"
    assert config_text(View({})) == ""
    with pytest.raises(Unknown, match=r"^data$"):
        config_text(through_pulumi({"data": UNKNOWN}))


@pytest.mark.parametrize("data", ["x", "a b=", "größe", base64.b64encode(b"\xff\xfe").decode(), "abcd!"])
def test_what_is_no_config_text(data: str) -> None:
    with pytest.raises(Malformed, match=r"^data is not base64 of a text$"):
        config_text(View({"data": data}))


def test_listed() -> None:
    assert listed({"b", "a", "c"}) == "a, b, c"
    assert listed([]) == ""
