"""What can be a task or flow, what it is called, and options that make no sense."""

from __future__ import annotations

import copy
import datetime as dt
import functools
import inspect
import math
import operator
import pickle
import subprocess
import sys
from typing import Any

import pytest

from flowdeck import Flow, Task, flow, task
from flowdeck.testing import run_in_memory


class Doubler:
    """Doubles."""

    submit = "an attribute of the callable's own"

    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.factor * x


class OddName(Doubler):
    __name__ = 5


class Hostile(Doubler):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class BuiltinWithDefaults:
    """As ``numpy.add``: what its signature shows as defaults is not what it takes."""

    __call__ = staticmethod(functools.partial(max))
    __signature__ = inspect.signature(lambda a, b, /, out=None, dtype=None: 0)


def power(base: int, exponent: int) -> int:
    return int(base**exponent)


CALLABLES: list[tuple[Any, str, tuple[Any, ...], Any]] = [
    (len, "len", ([1],), 1),
    (math.sqrt, "sqrt", (4,), 2.0),
    (max, "max", (1, 2), 2),
    (int, "int", ("5",), 5),
    (str.upper, "upper", ("a",), "A"),
    ("abc".startswith, "startswith", ("a",), True),
    (functools.partial(power, 2), "power", (3,), 8),
    (functools.partial(functools.partial(power, 2), 3), "power", (), 8),
    (functools.lru_cache(power), "power", (2, 3), 8),
    (functools.singledispatch(power), "power", (2, 3), 8),
    (operator.itemgetter(0), "itemgetter", ([4],), 4),
    (operator.methodcaller("upper"), "methodcaller", ("a",), "A"),
    (Doubler(), "Doubler", (4,), 8),
    (Doubler(3).__call__, "__call__", (4,), 12),
    (OddName(), "OddName", (4,), 8),
    (Hostile(), "Hostile", (4,), 8),
    (BuiltinWithDefaults(), "BuiltinWithDefaults", (1, 2), 2),
    (task(power), "power", (2, 3), 8),
    (sorted, "sorted", ([2, 1],), [1, 2]),
]


@pytest.mark.parametrize(("fn", "name", "args", "result"), CALLABLES, ids=lambda value: "")
def test_any_callable_can_be_a_task_or_flow(
    fn: Any, name: str, args: tuple[Any, ...], result: Any
) -> None:
    t = task(fn)
    f = flow(fn)
    assert t.name == name
    assert t.key.rpartition(".")[2] == (name if name != "__call__" else "__call__")

    @flow
    def outer() -> Any:
        return t(*args), t.submit(*args).result()

    with run_in_memory():
        assert t(*args) == result
        assert f(*args) == result
        assert outer() == (result, result)


def test_keywords_reach_built_ins() -> None:
    assert task(sorted)([1, 2], reverse=True) == [2, 1]
    assert task(int)("ff", base=16) == 255


@flow(name="mine", retries=2, version="1")
def at_module_level(x: int = 1) -> int:
    return x + 1


@pytest.mark.parametrize(
    "trip", [lambda f: pickle.loads(pickle.dumps(f)), copy.copy, copy.deepcopy]
)
def test_flows_and_tasks_can_be_pickled_and_copied(trip: Any) -> None:
    local = flow(lambda x: x * 2, name="local")
    with run_in_memory():
        again = trip(at_module_level)
        assert isinstance(again, Flow)
        assert (again.name, again.retries, again.version) == ("mine", 2, "1")
        assert (again.key, again.source) == (at_module_level.key, at_module_level.source)
        assert again("3") == 4
        assert trip(local)(3) == 6
        assert isinstance(trip(task(power)), Task)
        assert trip(task(power))(2, 3) == 8


def test_a_pickled_flow_runs_where_its_module_is_not(tmp_path: Any) -> None:
    data = tmp_path / "flow.pickle"
    data.write_bytes(pickle.dumps(flow(lambda x: power(x, 2), name="sent")))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))(5))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(data)], capture_output=True, text=True, check=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "25\n"


def test_times_may_be_timedeltas() -> None:
    minute = dt.timedelta(minutes=1)
    t = task(timeout_seconds=minute, retries=1, retry_delay_seconds=minute, cache_expiration=60)(
        power
    )
    assert (t.timeout_seconds, t.retry_delays, t.cache_expiration) == (60.0, 60.0, minute)
    assert task(retries=1, retry_delay_seconds=[1, minute])(power).retry_delays == (1.0, 60.0)
    f = flow(timeout_seconds=minute, retry_delay_seconds=minute)(power)
    assert (f.timeout_seconds, f.retry_delay_seconds) == (60.0, 60.0)
    assert task(timeout_seconds=dt.timedelta(0))(power).timeout_seconds is None


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"timeout_seconds": "5"}, TypeError, "timeout_seconds is a number of seconds or None"),
        ({"timeout_seconds": math.nan}, ValueError, "timeout_seconds is a number of seconds"),
        ({"retries": "5"}, TypeError, "retries is a whole number, got str: '5'"),
        ({"retries": 1.5}, TypeError, "retries is a whole number, got float"),
        ({"retries": -1}, ValueError, "retries is a number of at least 0, got -1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    for decorate in (flow, task):
        with pytest.raises(error, match=text):
            decorate(**options)(lambda: None)


def test_what_tasks_call_must_be_callable() -> None:
    with pytest.raises(TypeError, match="Expected `cache_key_fn` to be callable, got str"):
        task(cache_key_fn="key")(power)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cache_expiration is a number of seconds or None"):
        task(cache_expiration="1h")(power)  # type: ignore[arg-type]
