"""What a function does, told from its code and from what it uses: changes are seen, the rest is not."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import importlib
import logging
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from flowdeck import task
from flowdeck.values.code_digest import code_digest

if TYPE_CHECKING:
    from collections.abc import Callable


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass(frozen=True)
class Config:
    url: str
    limit: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Slim:
    url: str


class Pair(NamedTuple):
    one: int
    two: int


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


def compiled(source: str, **names: Any) -> Callable[..., Any]:
    names.setdefault("__name__", "typed_in")
    exec(textwrap.dedent(source), names)
    return names["f"]  # type: ignore[no-any-return]


def digest(source: str, **names: Any) -> str:
    found = code_digest(compiled(source, **names)).hex
    assert found is not None
    return found


BASE = """
import json, functools
LIMIT = 3
RATES = {"a": [1, 2], "b": (3, 4)}
UNUSED = 1

def deep(x, by=2):
    return x * by + LIMIT

def helper(x):
    return deep(x)

class Shape:
    sides = 4
    def area(self):
        return self.sides

def wrapped(fn):
    @functools.wraps(fn)
    def inner(*args):
        return fn(*args)
    return inner

@wrapped
def decorated(x):
    return x + 1

@functools.lru_cache
def remembered(x):
    return x + 1

def f(x):
    return json.dumps([helper(x), RATES, Shape().area(), decorated(x), remembered(x)])
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("[1, 2]", "[1, 3]"),
        ("x * by", "x - by"),
        ("by=2", "by=3"),
        ("return deep(x)", "return deep(x) + 0"),
        ("sides = 4", "sides = 5"),
        ("return self.sides", "return self.sides * 2"),
        (
            "@wrapped\ndef decorated(x):\n    return x + 1",
            "@wrapped\ndef decorated(x):\n    return x",
        ),
        ("def remembered(x):\n    return x + 1", "def remembered(x):\n    return x"),
        ("return fn(*args)", "return [fn(*args)]"),
    ],
)
def test_what_a_function_uses_is_part_of_what_it_does(old: str, new: str) -> None:
    assert old in BASE
    assert digest(BASE) == digest(BASE)
    assert digest(BASE) != digest(BASE.replace(old, new))


def test_what_it_does_not_use_and_where_things_stand_is_not() -> None:
    moved = BASE.replace("UNUSED = 1", "UNUSED = 2\n# a comment").replace("LIMIT = 3\n", "") + (
        "LIMIT = 3\ndef other():\n    pass\n"
    )
    assert digest(BASE) == digest(moved)


def test_the_parts_say_what_changed() -> None:
    one = code_digest(compiled(BASE)).parts
    other = code_digest(compiled(BASE.replace("x * by", "x - by").replace("= 3", "= 4"))).parts
    changed = {name for name in one if one[name] != other.get(name)}
    assert {name.rpartition(".")[2] for name in changed} == {"deep", "LIMIT"}


def test_functions_that_call_each_other_end() -> None:
    source = "def g(x): return f(x)\ndef f(x): return g(x)"
    assert digest(source) == digest(source)


def test_two_helpers_that_change_places_are_a_change() -> None:
    helpers = "def a(x): return 1\ndef b(x): return 2\n"
    one = digest(helpers + "p, q = a, b\ndef f(x): return p(x), q(x)")
    other = digest(helpers + "p, q = b, a\ndef f(x): return p(x), q(x)")
    assert one != other


def test_modules_of_the_user_are_looked_into_where_they_are_read(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = set()
    for text in (
        "LIMIT = 1\ndef fetch(): return LIMIT\n",
        "LIMIT = 2\ndef fetch(): return LIMIT\n",
    ):
        (tmp_path / "my_helpers.py").write_text(text)
        sys.modules.pop("my_helpers", None)
        importlib.invalidate_caches()
        module = importlib.import_module("my_helpers")
        exec(compile(text, module.__file__ or "", "exec"), vars(module))  # whatever is cached
        found.add(digest("def f(): return my_helpers.fetch()", my_helpers=module))
        found.add(digest("def f(): return my_helpers.LIMIT", my_helpers=module))
        found.add(digest("def f(): return fetch()", fetch=module.fetch))
    sys.modules.pop("my_helpers", None)
    assert len(found) == 6


def test_tasks_that_are_called_count_by_their_functions() -> None:
    one, other = task(compiled("def f(x): return 1")), task(compiled("def f(x): return 2"))
    source = "def f(x): return called(x)"
    assert digest(source, called=one) == digest(source, called=one.with_options(retries=3))
    assert digest(source, called=one) != digest(source, called=other)


# -- what a function closes over --------------------------------------------------------------------------


def made(value: Any) -> Callable[[], Any]:
    return lambda: value


VALUES: list[Callable[[], Any]] = [
    lambda: dt.date(2026, 1, 1),
    lambda: dt.date(2026, 1, 2),
    lambda: dt.datetime(2026, 1, 1),
    lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    lambda: dt.time(1),
    lambda: dt.timedelta(1),
    lambda: decimal.Decimal("1.0"),
    lambda: decimal.Decimal("1.1"),
    lambda: pathlib.Path("a"),
    lambda: pathlib.Path("b"),
    lambda: Color.RED,
    lambda: Color.BLUE,
    lambda: Config("a"),
    lambda: Config("b"),
    lambda: Config("a", 2),
    lambda: Slim("a"),
    lambda: Slim("b"),
    lambda: Pair(1, 2),
    lambda: Pair(1, 3),
    lambda: (1, 2),
    lambda: Plain("a"),
    lambda: Plain("b"),
    lambda: Plain(Plain("a")),
    lambda: [Config("a"), {"k": Color.RED}],
    lambda: [Config("a"), {"k": Color.BLUE}],
    lambda: uuid.UUID(int=1),
    lambda: range(3),
    lambda: slice(1, None),
    lambda: compiled("def f(): return 1"),
    lambda: compiled("def f(): return 2"),
    lambda: functools.partial(int, base=2),
    lambda: functools.partial(int, base=3),
    lambda: "a".join,
    lambda: "b".join,
    lambda: {"k": 1}.get,
    lambda: {"k": 2}.get,
    lambda: Plain("a").__eq__,
    lambda: logging.getLogger("a"),
    lambda: logging.getLogger("b"),
    lambda: Config,
    lambda: int,
    lambda: len,
    lambda: os,
]


def test_equal_content_gives_one_digest_and_other_content_another() -> None:
    digests = [code_digest(made(value())).hex for value in VALUES]
    assert digests == [code_digest(made(value())).hex for value in VALUES]
    told = [found for found in digests if found is not None]
    assert len(told) >= len(VALUES) - 1  # a method of object's own has none
    assert len(set(told)) == len(told)


def test_methods_of_different_objects_are_different_functions() -> None:
    for one, other in [("a".join, "b".join), ([1].count, [2].count), ({1: 2}.get, {1: 3}.get)]:
        assert code_digest(one).hex not in (None, code_digest(other).hex)


def test_objects_that_hold_each_other_end() -> None:
    one, other = Plain(1), Plain(2)
    one.other = other.other = [one, other, one]  # type: ignore[attr-defined]
    assert code_digest(made(one)).hex not in (None, code_digest(made(other)).hex)


def test_a_tool_that_is_closed_over_leaves_no_digest_and_a_global_one_stands_for_its_type() -> None:
    lock = threading.Lock()
    found = code_digest(made(lock))
    assert found.hex is None
    assert found.lacking is not None
    assert "value" in found.lacking

    reading = code_digest(compiled("def f():\n    with lock: return 1", lock=lock))
    assert reading.hex is not None
    assert [name.rpartition(".")[2] for name in reading.unknown] == ["lock"]


def test_a_very_large_global_stands_for_its_type() -> None:
    large = Exception(b"x" * 20_000_000)
    found = code_digest(compiled("def f(): return large", large=large))
    assert found.hex is not None
    assert len(found.unknown) == 1


SCRIPT = """
import dataclasses, datetime, decimal, enum, pathlib, functools
from flowdeck.values.code_digest import code_digest

class Color(enum.Enum):
    RED = 1

@dataclasses.dataclass(frozen=True)
class Config:
    url: str
    kinds: frozenset = frozenset({"a", "b", "c"})

class Plain:
    def __init__(self):
        self.of = {"x", "y", "z"}

LIMIT = decimal.Decimal("1.5")
WORDS = {"q", "r", "s"}
TOOL = Plain()

def helper(x, on=datetime.date(2026, 1, 1)):
    return x in WORDS and LIMIT, TOOL

def make(color, config, plain, path):
    def f(x):
        return helper(x), color, config, plain, path
    return f

found = code_digest(make(Color.RED, Config("u"), Plain(), pathlib.Path("p")))
print(found.hex, found.unknown)
"""


def test_digests_are_the_same_in_other_processes() -> None:
    outputs = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        outputs.add(done.stdout)
    (output,) = outputs
    assert output.endswith(" ()\n")
    assert "None" not in output
