"""Bounded texts of values: fidelity for plain values, survival for hostile ones, redaction, JSON."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import pathlib
import threading
import time
import types
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import pydantic
import pytest

from flowdeck.settings import using
from flowdeck.values.previews import (
    params_json,
    params_reprs,
    preview,
    safe_repr,
    safe_reprs,
    type_name,
)
from flowdeck.values.redaction import HIDDEN, is_secret, without_secret_arguments, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Point:
    x: int
    password: str = "hunter2"
    rest: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int = 1


class Pair(NamedTuple):
    a: int
    b: list[int]


class Model(pydantic.BaseModel):
    a: int = 1
    b: list[int] = [1]


class Plain:
    pass


class Friendly:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Raising:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


class Endless:
    """Its repr never ends, but is Python code: it can be stopped."""

    def __repr__(self) -> str:
        while True:
            time.monotonic()


class Stuck:
    """Its repr hangs in C: it can only be left behind."""

    release = threading.Event()

    def __repr__(self) -> str:
        self.release.wait(30)
        return "released"


class Liar:
    """Runs code for anything one asks it: none of it may be run without a deadline."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class SillyMessage(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


def quickest(call: Callable[[], object]) -> float:
    """Return the seconds of the best of some calls: load can only make one slower."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.mark.parametrize(
    "value",
    [
        0, -5, 10**30, 1.5, float("nan"), True, None, "text", "it's \"quoted\"", "\x00\x1b\n", "é✗",
        b"bytes", bytearray(b"x"), 1j, ..., NotImplemented, range(3), [], (), {}, set(),
        frozenset(), [1, "a"], (1,), (1, 2), {"a": 1, 2: [3]}, {1}, frozenset({1}),
        [[1], [2]], collections.OrderedDict(), collections.Counter("a"), collections.deque([1]),
        Color.RED, Level.LOW, Point(1), Slotted(), Pair(1, [2]), ValueError("x", 1), ValueError(),
        dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
        dt.timedelta(1), decimal.Decimal("1.5"), uuid.UUID(int=1), pathlib.Path("/x"),
        int, Point, len, Plain(), type_name, {"a": 1}.keys(), {"a": 1}.items(), {"a": 1}.values(),
        Model(), Friendly("hello"), slice(1, 2),
    ],
    ids=type_name,
)  # fmt: skip
def test_small_values_look_as_python_shows_them(value: object) -> None:
    assert safe_repr(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10**50, "<int of 167 bits>"),
        (types, "<module 'types'>"),
        (Friendly("x").__repr__, "<bound method Friendly.__repr__ of Friendly>"),
        (types.SimpleNamespace(a=1), "SimpleNamespace(a=1)"),
        (collections.defaultdict(list, a=[1]), "defaultdict({'a': [1]})"),
        ([[[1]], []], "[[[…]], []]"),
        ([[{}], [[]], [()]], "[[{}], [[]], [()]]"),
    ],
    ids=str,
)
def test_other_values_are_shortened(value: object, text: str) -> None:
    assert safe_repr(value) == text


def test_a_container_that_holds_itself_ends() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert safe_repr(loop) == "[1, [...]]"
    mapping: dict[str, Any] = {}
    mapping["self"] = mapping
    assert safe_repr(mapping, depth=5) == "{'self': {...}}"


@pytest.mark.parametrize(
    "value",
    ["x" * 10**7, b"x" * 10**7, list(range(10**6)), dict.fromkeys(range(10**6)), [["y" * 10**6] * 9] * 9],
    ids=["str", "bytes", "list", "dict", "nested"],
)  # fmt: skip
def test_a_huge_value_costs_no_more_than_its_limit(value: Any) -> None:
    text = safe_repr(value)
    assert len(text) == 200
    assert text.endswith("…")
    assert text[:20] == repr(value[:1000] if isinstance(value, str | bytes) else value)[:20]
    assert quickest(lambda: safe_repr(value)) < 0.005


def test_a_dataclass_with_a_huge_field_is_bounded_too() -> None:
    value = Point(1, rest=list(range(10**6)))
    assert safe_repr(value).startswith("Point(x=1, password=")
    assert quickest(lambda: safe_repr(value)) < 0.005


def test_the_repr_of_a_subclass_without_one_of_its_own_is_taken_without_its_methods() -> None:
    class Odd(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            raise AssertionError

        def __len__(self) -> int:
            raise AssertionError

    assert safe_repr(Odd([1, 2])) == "[1, 2]"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no way"), "ValueError: no way"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (SystemExit(2), "SystemExit: 2"),
        (RecursionError("deep"), "RecursionError: deep"),
        (SillyMessage(), "SillyMessage"),
    ],
)
def test_a_repr_that_raises_says_so(error: BaseException, reason: str) -> None:
    assert safe_repr(Raising(error)) == f"<Raising repr failed: {reason}>"
    assert safe_repr([1, Raising(error)]) == f"[1, <Raising repr failed: {reason}>]"


def test_a_repr_that_is_no_text_says_so() -> None:
    assert safe_repr(Friendly(5)).startswith("<Friendly repr failed: TypeError")  # type: ignore[arg-type]


def test_an_object_that_fights_back_is_shown_as_well_as_can_be() -> None:
    assert safe_repr(Liar()).startswith("<")
    assert "Liar" in safe_repr(Liar())


def test_a_repr_that_never_ends_is_cut_off() -> None:
    started = time.perf_counter()
    assert safe_repr(Endless(), seconds=0.05) == "<Endless repr took too long>"
    assert time.perf_counter() - started < 2


def test_what_came_before_the_endless_repr_is_kept() -> None:
    assert safe_repr([1, Endless()], seconds=0.05) == "[1, <Endless repr took too long>"


def test_a_repr_that_hangs_in_c_is_left_behind() -> None:
    try:
        assert safe_repr(Stuck(), seconds=0.05) == "<Stuck repr took too long>"
    finally:
        Stuck.release.set()


def test_one_endless_repr_does_not_cost_the_others() -> None:
    texts = safe_reprs([Friendly("a"), Endless(), Friendly("b"), 3], seconds=0.4)
    assert texts == ["a", "<Endless repr took too long>", "b", "3"]


def test_when_the_time_is_used_up_the_rest_says_so() -> None:
    texts = safe_reprs([Endless() for _ in range(12)] + [Friendly("late")], seconds=0.1)
    assert texts[0] == "<Endless repr took too long>"
    assert texts[-1] == "<Friendly: no time left to show it>"


def test_a_repr_with_raw_bytes_in_it_can_be_encoded() -> None:
    assert safe_repr(Friendly("a\udcffb\x1b")) == "a\\udcffb\x1b"


def test_a_repr_as_long_as_a_book_is_cut() -> None:
    assert safe_repr(Friendly("x" * 10**6), limit=10) == "x" * 9 + "…"


def test_a_repr_that_is_a_subclass_of_str_becomes_plain_text() -> None:
    class Text(str):
        __slots__ = ()

        def __len__(self) -> int:
            raise AssertionError

    assert type(safe_repr(Friendly(Text("abc")))) is str
    assert safe_repr(Friendly(Text("abc"))) == "abc"


def array_class(module: str, name: str) -> Any:
    """Make a class that looks like one of a library that is not installed here."""
    return type(name, (), {"__module__": module, "__repr__": lambda self: "its own repr"})


def test_a_large_array_is_shown_by_its_shape() -> None:
    array = array_class("numpy", "ndarray")()
    array.shape, array.dtype = (1000, 3), "float64"
    assert safe_repr(array) == "ndarray(shape=(1000, 3), dtype=float64)"
    assert preview(array) == "its own repr"


def test_a_small_array_shows_its_values() -> None:
    array = array_class("numpy", "ndarray")()
    array.shape, array.dtype = (2, 3), "int64"
    assert safe_repr(array) == "its own repr"


def test_a_data_frame_is_shown_by_its_columns() -> None:
    frame = array_class("pandas.core.frame", "DataFrame")()
    frame.shape, frame.columns = (10**6, 20), [f"c{n}" for n in range(20)]
    assert safe_repr(frame).startswith("DataFrame(shape=(1000000, 20), columns=['c0', 'c1'")


def test_a_preview_shows_more_than_a_repr() -> None:
    value = [[[1]] * 100]
    assert len(safe_repr(value)) < 20 * 15
    assert preview(value) == repr(value)
    assert len(preview("x" * 5000)) == 2000


# redaction


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWD", "api_key", "apiKey", "API-KEY"[:3] + "KEY", "token", "secret_sauce",
     "Authorization", "auth", "cookies", "aws_credentials", "private_key", "oauth"],
)  # fmt: skip
def test_secret_names_are_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["author", "authors", "key", "path", "user", "authority", "x"])
def test_ordinary_names_are_not_secret(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    "value",
    [
        {"password": "hunter2"},
        {"outer": {"api_key": "hunter2"}},
        [("Authorization", "hunter2")],
        {b"authorization": b"hunter2"},
        Point(1),
        types.SimpleNamespace(token="hunter2"),
        Friendly("Login(password='hunter2')"),
        Friendly('{"password": "hunter2"}'),
        "postgres://ann:hunter2@host/db",
        "host=x password=hunter2 port=1",
    ],
    ids=type_name,
)
def test_secrets_inside_values_are_hidden(value: object) -> None:
    shown = safe_repr(value, hides=is_secret)
    assert "hunter2" not in shown
    assert HIDDEN in shown


def test_that_a_secret_is_missing_is_shown() -> None:
    assert safe_repr({"token": None, "auth": False}, hides=is_secret) == (
        "{'token': None, 'auth': False}"
    )


def test_text_without_secrets_is_untouched() -> None:
    text = "unexpected token: 'x' at http://host/path?a=1, author='ann'"
    assert without_secrets(text) == text


def test_parameters_with_secret_names_are_hidden_in_reprs() -> None:
    assert params_reprs({"x": 1, "password": "p", "token": None, "d": {"secret": "s"}}) == {
        "x": "1",
        "password": HIDDEN,
        "token": "None",
        "d": "{'secret': <hidden>}",
    }


def test_parameters_with_secret_names_are_hidden_in_json() -> None:
    parameters = {
        "api_key": "k",
        "X-Api-Key": "k",
        "token": None,
        "use_auth": True,
        "options": {"user": "ann", "logins": [{"password": "p"}, ("authorization", "b")]},
        "url": "postgres://ann:p@host/db",
    }
    assert json.loads(params_json(parameters, 2000)) == {
        "api_key": HIDDEN,
        "X-Api-Key": HIDDEN,
        "token": None,
        "use_auth": True,
        "options": {
            "user": "ann",
            "logins": [{"password": HIDDEN}, ["authorization", HIDDEN]],
        },
        "url": f"postgres://ann:{HIDDEN}@host/db",
    }


def test_the_setting_says_what_is_hidden() -> None:
    parameters = {"iban": "DE00", "token": "t", "note": "My_IBAN='DE00' token='t'"}
    with using(redact=["*iban*"]):
        shown = {"iban": HIDDEN, "token": "t", "note": f"My_IBAN={HIDDEN} token='t'"}
        assert json.loads(params_json(parameters, 2000)) == shown
        assert params_reprs(parameters) == {
            name: HIDDEN if text == HIDDEN else repr(text) for name, text in shown.items()
        }
    with using(redact=[]):
        assert json.loads(params_json(parameters, 2000)) == parameters


@pytest.mark.parametrize(
    "text",
    [
        "SyntaxError: '/lib/tokenizedata/bad_coding.py': uft-8",
        "open('/etc/auth/x.conf'): no such file",
        "a 'cookie, or so': ten",
    ],
)
def test_a_path_or_sentence_before_a_colon_is_no_name(text: str) -> None:
    assert without_secrets(text) == text


def test_a_secret_inside_the_value_of_another_name_is_hidden() -> None:
    assert without_secrets('dsn="password=p user=ann"') == f'dsn="password={HIDDEN} user=ann"'
    assert without_secrets("password=token=abc x") == f"password={HIDDEN} x"


def test_command_lines_are_shown_without_secrets() -> None:
    words = ["run", "-p", "api_key=a b", "--token", "x", "--password", "-v", "n=1", "--pwd=x y"]
    assert without_secret_arguments(words, is_secret) == [
        "run", "-p", "api_key=<hidden>", "--token", "<hidden>", "--password", "-v", "n=1",
        "--pwd=<hidden>",
    ]  # fmt: skip
    assert without_secret_arguments(['{"password": "p"}'], is_secret) == ['{"password": <hidden>}']


# parameters as JSON


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (1, 1),
        ("é\n\x00", "é\n\x00"),
        ([1, (2, 3)], [1, [2, 3]]),
        ({"a": {"b": None}}, {"a": {"b": None}}),
        ({1: "a", True is False: "b"}, {"1": "a", "false": "b"}),
        ({(1, 2): 3}, "<dict>"),
        ({1: "a", "1": "b"}, "<dict>"),
        (float("inf"), "Infinity"),
        (float("nan"), "NaN"),
        (Color.RED, 1),
        (Level.LOW, 1),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.timedelta(minutes=1), 60.0),
        (pathlib.Path("/x"), "/x"),
        (Point(1), {"x": 1, "password": HIDDEN, "rest": []}),
        (Model(), {"a": 1, "b": [1]}),
        (Pair(1, [2]), [1, [2]]),
        (Plain(), "<Plain>"),
        ([1, Plain()], [1, "<Plain>"]),
        (Liar(), "<Liar>"),
        (Endless(), "<Endless>"),
        (b"x", "<bytes>"),
        (10**400, "<int>"),
        ("\udcff", "\\udcff"),
        (len, "<builtin_function_or_method>"),
        ("x" * 5000, "<str>"),
        (list(range(10**6)), "<list>"),
    ],
    ids=lambda value: type_name(value),
)
def test_parameters_become_json(value: object, plain: object) -> None:
    text = params_json({"p": value}, 4000)
    text.encode()
    assert json.loads(text) == {"p": plain}


def test_a_list_that_holds_itself_becomes_json() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "<list>" in params_json({"p": loop}, 4000)


def test_the_largest_values_give_way_first() -> None:
    text = params_json({"big": "x" * 900, "mid": "y" * 300, "small": "z"}, 500)
    assert json.loads(text) == {"big": "<str>", "mid": "y" * 300, "small": "z"}


def test_names_are_never_dropped() -> None:
    assert json.loads(params_json({"a": [1, 2, 3], "b": "text"}, 5)) == {
        "a": "<list>",
        "b": "<str>",
    }
