"""Cache keys: equal for equal work in every process, different for anything else; delays."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import os
import pathlib
import pickle
import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from flowdeck.caching import exponential_backoff, task_input_hash

if TYPE_CHECKING:
    from collections.abc import Callable


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: int


def add(x: int, y: int = 1) -> int:
    return x + y


def key(fn: Callable[..., Any] = add, name: str = "pkg.add", **arguments: Any) -> str | None:
    return task_input_hash(SimpleNamespace(task=SimpleNamespace(fn=fn, key=name)), arguments)


def compiled(source: str, **names: Any) -> Callable[..., Any]:
    exec(textwrap.dedent(source), names)
    return names["f"]  # type: ignore[no-any-return]


def test_equal_arguments_give_the_same_key() -> None:
    assert key(x=1, y=[1, {"a": 2}]) == key(y=[1, {"a": 2}], x=1)
    assert key(x={"a": 1, "b": 2}) == key(x={"b": 2, "a": 1})
    assert key(x={1, 2, 3}) == key(x={3, 2, 1})
    assert len(key(x=1) or "") == 32


DIFFERENT: list[Any] = [
    0, 1, -1, 2**64, True, False, None, 1.0, 0.0, -0.0, "", "1", "1.0", b"1", "None", ..., 1j,
    [], (), {}, set(), frozenset(), [1], (1,), {1}, frozenset({1}), [[1]], [1, 2], [12], ["1", "2"],
    ["1, 2"], {"a": 1}, {"a": 2}, {"b": 1}, {1: "a"}, {"1": "a"}, [("a", 1)], "é", "\udcff",
    Color.RED, Color.BLUE, Point(1), Point(2), dt.date(2024, 1, 2), dt.date(2024, 1, 3),
    dt.timedelta(1), pathlib.Path("a"), pathlib.Path("b"), float("inf"), float("nan"), int, str,
]  # fmt: skip


def test_different_arguments_give_different_keys() -> None:
    keys = [key(x=value) for value in DIFFERENT]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_names_and_values_cannot_be_confused() -> None:
    assert key(x="1", y="2") != key(x="1y2")
    assert key(a="bc") != key(ab="c")
    assert key(x=1) != key(y=1)


def test_other_tasks_have_other_keys() -> None:
    assert key(name="pkg.add", x=1) != key(name="pkg.other", x=1)


def test_changed_code_changes_the_key() -> None:
    sources = [
        "def f(x): return x + 1",
        "def f(x): return x + 2",
        "def f(x): return x - 1",
        "def f(x): return y + 1",
        "def f(y): return y + 1",
        "def f(x): return (lambda: x + 1)()",
        "def f(x): return (lambda: x + 2)()",
        "def f(x): return x in {'a', 'b'}",
        "def f(x): return x in {'a', 'c'}",
        "async def f(x): return x + 1",
    ]
    assert len({key(compiled(source), x=1) for source in sources}) == len(sources)


def test_where_the_code_stands_does_not_change_the_key() -> None:
    one = compiled("def f(x): return [x + i for i in range(3)]")
    moved = compiled("# a comment\n\n\ndef f(x): return [x + i for i in range(3)]")
    assert key(one, x=1) == key(moved, x=1)


def test_a_different_closure_changes_the_key() -> None:
    def make(amount: Any) -> Callable[[int], int]:
        return lambda x: x + amount

    assert key(make(1), x=1) == key(make(1), x=1)
    assert key(make(1), x=1) != key(make(2), x=1)


def test_a_changed_inner_function_changes_the_key() -> None:
    def wrap(inner: Any) -> Callable[[int], int]:
        @functools.wraps(inner)
        def outer(x: int) -> Any:
            return inner(x)

        return outer

    one, two = compiled("def f(x): return x + 1"), compiled("def f(x): return x + 2")
    assert key(wrap(one), x=1) != key(wrap(two), x=1)
    assert key(wrap(SimpleNamespace(fn=one)), x=1) != key(wrap(SimpleNamespace(fn=two)), x=1)


def test_a_recursive_function_has_a_key() -> None:
    def f(x: int) -> int:
        return f(x - 1) if x else 0

    assert key(f, x=1) == key(f, x=1) is not None


def test_objects_that_can_be_called_have_keys() -> None:
    class Adder:
        def __init__(self, amount: int) -> None:
            self.amount = amount

        def __call__(self, x: int) -> int:
            return x + self.amount

        def method(self, x: int) -> int:
            return x

    assert key(Adder(1), x=1) != key(Adder(2), x=1)
    assert key(Adder(1).method, x=1) != key(Adder(1), x=1)
    assert key(functools.partial(add, 1), y=1) != key(functools.partial(add, 2), y=1)
    assert key(len, x="a") != key(sum, x="a")
    assert key(Point, x=1) is not None


def test_what_cannot_be_hashed_is_not_cached() -> None:
    assert key(x=threading.Lock()) is None
    assert key(x=[{"deep": threading.Lock()}]) is None


def test_an_object_whose_pickling_raises_is_not_cached() -> None:
    class Bad:
        def __reduce__(self) -> Any:
            raise RuntimeError

    assert key(x=Bad()) is None


def test_a_list_that_holds_itself_has_a_key() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert key(x=loop) is not None
    assert key(x=loop) != key(x=[1])


SCRIPT = """
import enum, pathlib, dataclasses
from types import SimpleNamespace
from flowdeck.caching import task_input_hash
def fn(x):
    return x in {"a", "b", "c"} or [y for y in x]
def made(amount):
    return lambda x: amount
arguments = {"a": {"k1", "k2", "k3"}, "b": {"z": 1, "y": [1.5, None]}, "c": frozenset("abcdef"),
             "d": pathlib.Path("x"), "e": "text"}
for f in (fn, made("text")):
    print(task_input_hash(SimpleNamespace(task=SimpleNamespace(fn=f, key="k")), arguments))
"""


def test_keys_are_the_same_in_other_processes() -> None:
    outputs = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        outputs.add(done.stdout)
    (output,) = outputs
    assert "None" not in output
    assert len(set(output.split())) == 2


def test_backoff_doubles() -> None:
    assert exponential_backoff(10)(4) == [10, 20, 40, 80]
    assert exponential_backoff(0.5)(2) == [0.5, 1.0]
    assert exponential_backoff(1)(0) == []


def test_there_are_at_most_fifty_delays() -> None:
    assert len(exponential_backoff(1)(1000)) == 50


def test_backoff_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(exponential_backoff(3)))(2) == [3, 6]
