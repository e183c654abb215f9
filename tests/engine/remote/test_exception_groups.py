"""Exceptions inside other things that travel: of a group, in an attribute, in what a task returns."""

from __future__ import annotations

import copyreg
import pickle
import sys
import threading
import traceback
from typing import Any, Self

import pytest
from tblib.pickling_support import pickle_exception

from flowdeck.exceptions import FailedRun
from flowdeck.remote.errors import pack, unpack
from flowdeck.remote.pickling import Pickling
from flowdeck.remote.sizes import carried
from flowdeck.remote.values import Carried, pickling_of

PICKLING = pickling_of("cloudpickle")


class Odd(Exception):
    """Its ``__init__`` does not fit its ``args``."""

    def __init__(self, a: Any, b: Any) -> None:
        super().__init__(f"{a}-{b}")
        self.a, self.b = a, b


class Coded(ExceptionGroup[Exception]):
    """A group that cannot be made from its ``args`` alone."""

    code: int

    def __new__(cls, message: str, excs: list[Exception], code: int) -> Self:
        self = super().__new__(cls, message, excs)
        self.code = code
        return self


@pytest.fixture(autouse=True)
def _tblib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once imported, Dask and Ray have tblib pickle the exceptions of the whole process."""
    for kind in (Odd, KeyError, OSError, FileNotFoundError, ExceptionGroup, Coded):
        monkeypatch.setitem(copyreg.dispatch_table, kind, pickle_exception)


def raised(error: BaseException, cause: BaseException | None = None) -> Any:
    """Return an exception that has been raised, with a note."""
    error.add_note(f"note of {type(error).__name__}")
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def some() -> list[Any]:
    inner = raised(ExceptionGroup("inner", [raised(Odd("deep", 3)), raised(KeyError("k"))]))
    missing = raised(FileNotFoundError(2, "no such", "file"))
    return [raised(Odd(1, 2)), raised(Odd(3, 4), cause=missing), inner]


def travelled(error: BaseException) -> Any:
    return unpack(pack(error, PICKLING))


def returned(value: Any) -> Any:
    """Send a value as one that rides along, and as one that stays on its worker."""
    data = carried(value, PICKLING)
    assert type(data) is bytes
    assert type(Carried(data).load()) is type(value)
    return PICKLING.loads(PICKLING.dumps(value))


def shown(error: BaseException) -> str:
    """Return the traceback as Python prints it, without marks below the lines."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(line for line in lines if set(line) - set(" |^~"))


def test_a_group_arrives_with_all_that_its_exceptions_have() -> None:
    group = raised(ExceptionGroup("outer", some()))
    copy = travelled(group)
    assert type(copy) is ExceptionGroup
    assert shown(copy) == shown(group)
    first, second, inner = copy.exceptions
    assert (type(first), first.a, first.b, first.__notes__) == (Odd, 1, 2, ["note of Odd"])
    assert second.__cause__.filename == "file"
    assert (inner.exceptions[0].a, inner.exceptions[0].b) == ("deep", 3)


def test_a_group_of_a_class_that_wants_more_arguments_keeps_its_class() -> None:
    group = raised(Coded("coded", some(), 7))
    copy = travelled(group)
    assert type(copy) is Coded
    assert copy.code == 7
    assert shown(copy) == shown(group)


def test_nothing_of_a_group_is_lost_because_one_of_it_cannot_travel() -> None:
    odd = Odd(1, 2)
    odd.lock = threading.Lock()  # type: ignore[attr-defined]
    local_only = type("Gone", (Exception,), {"__module__": "no_such_module"})
    local_only.lock = threading.Lock()  # type: ignore[attr-defined]
    group = raised(
        ExceptionGroup("outer", [raised(odd), raised(local_only("x")), raised(Odd(5, 6))])
    )
    copy = travelled(group)
    assert type(copy) is ExceptionGroup
    first, second, third = copy.exceptions
    assert (type(first), first.a, first.__notes__) == (Odd, 1, ["note of Odd"])
    assert not hasattr(first, "lock")
    assert type(second) is FailedRun
    assert str(second) == "Gone: x"
    assert (type(third), third.b) == (Odd, 6)
    assert third.__traceback__ is not None


def test_an_exception_in_an_attribute_keeps_its_cause_and_traceback() -> None:
    error = raised(RuntimeError("holds others"))
    error.others = some()
    copy = travelled(error)
    assert [shown(other) for other in copy.others] == [shown(other) for other in error.others]


@pytest.mark.parametrize("wrap", [list, tuple, lambda errors: {"errors": errors}])
def test_exceptions_in_what_a_task_returns_arrive_as_they_were(wrap: Any) -> None:
    value = wrap(some())
    copy = returned(value)
    errors = copy["errors"] if isinstance(copy, dict) else copy
    originals = value["errors"] if isinstance(value, dict) else value
    assert [shown(error) for error in errors] == [shown(error) for error in originals]


def test_the_same_exception_twice_in_a_value_stays_one() -> None:
    error = raised(Odd(1, 2))
    first, second = returned([error, error])
    assert first is second


def test_exceptions_that_refer_to_each_other_end_somewhere() -> None:
    one, other = Odd(1, 2), Odd(3, 4)
    one.other, other.other = other, one  # type: ignore[attr-defined]
    one.__cause__, other.__cause__ = other, one
    copy = travelled(one)
    assert copy.other.a == 3
    assert isinstance(copy.other.other, Exception)


def test_groups_in_groups_take_time_and_room_for_each_of_them_once() -> None:
    group: Any = raised(Coded("core", [raised(Odd(0, 0))], 0))
    for level in range(1, 16):
        group = raised(Coded(f"level {level}", [group, raised(Odd(level, level))], level))
    data = pack(group, PICKLING)
    assert len(data) < 200_000
    copy, depth = unpack(data), 0
    while isinstance(copy, ExceptionGroup):
        copy, depth = copy.exceptions[0], depth + 1
    assert depth == 16
    assert (copy.a, copy.__notes__) == (0, ["note of Odd"])


def test_a_result_with_an_exception_whose_attribute_cannot_travel_arrives() -> None:
    error = raised(Odd(1, 2))
    error.lock = threading.Lock()
    (copy,) = returned([error])
    assert (type(copy), copy.a, copy.b) == (Odd, 1, 2)


def test_an_exception_whose_class_is_unknown_there_does_not_spoil_the_value() -> None:
    module = type(sys)("only_here")
    exec("class Here(Exception): pass", module.__dict__)
    sys.modules["only_here"] = module
    try:
        data = Pickling().dumps({"error": raised(module.Here("text")), "value": 1})
        assert b"only_here" in data
    finally:
        del sys.modules["only_here"]
    value = pickle.loads(data)
    assert value["value"] == 1
    assert type(value["error"]) is FailedRun
    assert str(value["error"]) == "Here: text"
    assert value["error"].__traceback__ is not None
