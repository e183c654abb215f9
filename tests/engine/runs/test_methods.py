"""Tasks and flows that are looked up on instances and classes: what they look like."""

from __future__ import annotations

import functools
import inspect
import pickle
from typing import Any

import pytest

from flowdeck import Flow, Task, flow, task
from flowdeck.definitions import methods as binding
from flowdeck.testing import run_in_memory
from flowdeck_store import events


class Loader:
    def __init__(self, place: str) -> None:
        self.place = place

    def __repr__(self) -> str:
        return f"Loader({self.place})"

    @task(task_run_name="rows of {self.place}")
    def rows(self, table: str) -> str:
        """Rows of a table."""
        return f"{self.place}.{table}"

    @flow
    def nightly(self, table: str) -> str:
        return self.rows(table)  # type: ignore[no-any-return]


def test_a_bound_task_looks_like_its_method() -> None:
    loader = Loader("here")
    assert isinstance(Loader.rows, Task)
    assert isinstance(Loader.nightly, Flow)
    assert list(inspect.signature(loader.rows).parameters) == ["table"]
    assert (loader.rows.name, loader.rows.__name__) == ("rows", "rows")
    assert loader.rows.__doc__ == "Rows of a table."
    assert loader.rows == loader.rows
    assert hash(loader.rows) == hash(loader.rows)
    assert loader.rows != Loader("here").rows
    assert repr(loader.rows) == "Task('rows') bound to Loader(here)"
    assert repr(loader.nightly) == "Flow('nightly') bound to Loader(here)"
    assert pickle.loads(pickle.dumps(loader.rows))("x") == "here.x"


def test_the_instance_is_recorded_as_the_first_parameter_and_may_name_the_run() -> None:
    with run_in_memory() as record:
        assert Loader("here").nightly("x") == "here.x"
    (state,) = [e for e in record.of_kind(events.STATE) if e["no"] == 1 and e["data"]][:1]
    assert '"self": "Loader(here)"' in state["data"]
    assert [e["name"] for e in record.of_kind(events.TASK)] == ["rows of here"]


def test_missing_arguments_are_told_as_for_the_method() -> None:
    with pytest.raises(TypeError, match=r"missing a required argument: 'table'"):
        Loader("here").rows()
    with pytest.raises(TypeError, match=r"received args: \(Loader\(here\), 'a', "):
        Loader("here").rows("a", "b")


def test_class_methods_work_where_python_does_not_ask_what_they_wrap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binding, "CLASSMETHODS_HIDE", True)

    class Base:
        place = "base"

        @classmethod
        @task(name="other")
        def rows(cls, table: str = "users") -> Any:
            return cls.place, table

        @classmethod
        @flow
        def nightly(cls, table: str = "users") -> Any:
            submitted, (mapped,) = cls.rows.submit(table), cls.rows.map([table])
            return cls.rows(table), submitted.result(), mapped.result()

        @classmethod
        def plain(cls) -> str:
            return cls.place

    class Special(Base):
        place = "special"

    assert Base.nightly("x") == (("base", "x"),) * 3
    assert Special.nightly("x") == (("special", "x"),) * 3
    assert (Special.plain(), Special().rows("y")) == ("special", ("special", "y"))
    assert isinstance(vars(Base)["rows"], Task)  # no longer what Python would not bind
    assert not [name for name in vars(Base) if "flowdeck" in name]


def test_what_does_not_bind_as_an_attribute_does_not_bind_as_a_task() -> None:
    class Holder:
        size = task(len)
        two = task(functools.partial(pow, 2))

    assert Holder().size([1, 2]) == 2
    assert Holder().two(3) == 8


def test_tasks_in_instances_and_modules_are_themselves() -> None:
    @task
    def plain(x: int) -> int:
        return x

    class Holder:
        def __init__(self) -> None:
            self.step = plain

    assert Holder().step is plain
    assert Holder().step(2) == 2


def test_a_parameter_may_be_called_self_or_like_anything_of_ours() -> None:
    @task
    def odd(self: Any, fn: Any = None, parameters: Any = None, run: Any = None) -> Any:
        return self, fn, parameters, run

    @flow
    def outer(self: Any, name: Any = None) -> Any:
        called = odd(self=self, fn=1, parameters=2, run=3)
        submitted = odd.submit(self=self, fn=1, parameters=2, run=3).result()
        (mapped,) = odd.map(self=[self], fn=1, parameters=2, run=3)
        return called == submitted == mapped.result(), called, name

    assert outer(self="me", name="x") == (True, ("me", 1, 2, 3), "x")
