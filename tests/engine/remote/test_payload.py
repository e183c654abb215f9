"""Tasks, values and exceptions as bytes that a process can read which has none of their modules."""

from __future__ import annotations

import copyreg
import importlib.util
import pickle
import subprocess
import sys
import textwrap
import threading
import traceback
from typing import TYPE_CHECKING, Any, Self

import pytest
from tblib.pickling_support import pickle_exception

from flowdeck import flow, task
from flowdeck.exceptions import CrashedRun, FailedRun
from flowdeck.remote.errors import pack, unpack
from flowdeck.remote.pickling import Pickling, what_is_wrong, wrong_in_function
from flowdeck.remote.sizes import CARRY, carried, weight
from flowdeck.remote.values import (
    Carried,
    Reply,
    is_atom,
    pickling_of,
)
from flowdeck.task_runners import (
    ConcurrentTaskRunner,
    DaskTaskRunner,
    RayTaskRunner,
    SequentialTaskRunner,
)
from flowdeck.values.of_user import is_of_user, user_modules
from flowdeck_store.states import COMPLETED, CRASHED, FAILED, PENDING

if TYPE_CHECKING:
    from pathlib import Path

PICKLING = pickling_of("cloudpickle")


def module_from(path: Path, name: str, source: str) -> Any:
    """Load a module by path, as flows are."""
    path.write_text(textwrap.dedent(source))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def call_elsewhere(data: bytes, *args: Any) -> Any:
    """Unpickle a function in a fresh process that can import no module of ours, and call it."""
    code = (
        "import pickle, sys\n"
        "function, args = pickle.load(sys.stdin.buffer), pickle.load(sys.stdin.buffer)\n"
        "function = getattr(function, 'fn', function)\n"
        "sys.stdout.buffer.write(pickle.dumps(function(*args)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        input=data + pickle.dumps(args),
        capture_output=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)


# -- tasks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["first_mine", "second_mine"])
def test_a_module_is_seen_that_takes_the_place_of_another_one(tmp_path: Path, second: str) -> None:
    source = "def value(): return {}"
    module_from(tmp_path / "first_mine.py", "first_mine", source.format(1))
    user_modules()
    del sys.modules["first_mine"]
    module = module_from(tmp_path / "second_mine.py", second, source.format(2))
    try:
        assert module in user_modules()
        assert call_elsewhere(PICKLING.dumps(module.value)) == 2
    finally:
        del sys.modules[second]


def test_a_module_that_takes_the_name_of_a_users_one_is_not_taken_for_it(tmp_path: Path) -> None:
    module = module_from(tmp_path / "named.py", "taken_name", "value = 1")
    try:
        assert module in user_modules()
        del sys.modules["taken_name"]
        other = sys.modules["taken_name"] = type(sys)("taken_name")
        assert other not in user_modules()
    finally:
        sys.modules.pop("taken_name", None)


def test_a_task_of_a_module_that_others_cannot_import_works_elsewhere(tmp_path: Path) -> None:
    module = module_from(
        tmp_path / "by_path.py",
        "by_path",
        """
        from flowdeck import flow, task
        FACTOR = 3
        def helper(x): return x * FACTOR
        @task(retries=2)
        def scale(x): return helper(x) + 1
        """,
    )
    try:
        assert call_elsewhere(PICKLING.dumps(module.scale), 2) == 7
    finally:
        del sys.modules["by_path"]


def test_modules_beside_the_flow_travel_too(tmp_path: Path) -> None:
    beside = module_from(tmp_path / "beside.py", "beside", "def double(x): return 2 * x\n")
    main = module_from(
        tmp_path / "main_flow.py",
        "main_flow",
        """
        import beside
        from flowdeck import flow, task
        @task
        def go(x): return beside.double(x)
        """,
    )
    try:
        assert beside in user_modules()
        assert call_elsewhere(PICKLING.dumps(main.go.fn), 4) == 8
    finally:
        del sys.modules["beside"], sys.modules["main_flow"]


def test_a_task_survives_any_pickler_and_keeps_its_identity() -> None:
    @task(name="named", retries=4, tags=["a"], retry_delay_seconds=[1, 2])
    def some(x: int, *rest: int, y: int = 2) -> int:
        return x + y

    for copy in (pickle.loads(pickle.dumps(some)), PICKLING.loads(PICKLING.dumps(some))):
        assert copy.fn(1) == 3
        assert copy(5, y=1) == 6
        assert (copy.name, copy.retries, copy.tags) == ("named", 4, frozenset({"a"}))
        assert copy.retry_delays == (1.0, 2.0)
        assert (copy.key, copy.definition_key, copy.source, copy.short_hash) == (
            some.key, some.definition_key, some.source, some.short_hash,
        )  # fmt: skip
        assert copy.__wrapped__ is copy.fn


def test_a_task_that_calls_itself_is_one_task_on_arrival(tmp_path: Path) -> None:
    module = module_from(
        tmp_path / "recursive.py",
        "recursive",
        """
        from flowdeck import flow, task
        @task
        def down(n): return 0 if n == 0 else down.fn(n - 1) + 1
        """,
    )
    try:
        copy = PICKLING.loads(PICKLING.dumps(module.down))
        assert copy.fn.__globals__["down"] is copy
        assert copy.fn(5) == 5
    finally:
        del sys.modules["recursive"]


def test_what_cannot_travel_by_value_travels_by_reference(tmp_path: Path) -> None:
    module = module_from(
        tmp_path / "locked.py",
        "locked",
        "import threading\nLOCK = threading.Lock()\ndef use():\n    with LOCK: return 1\n",
    )
    try:
        assert PICKLING.loads(PICKLING.dumps(module.use)) is module.use
    finally:
        del sys.modules["locked"]


def test_modules_of_others_and_our_own_go_by_reference() -> None:
    import json

    import cloudpickle

    import flowdeck.tasks

    assert is_of_user(sys.modules[__name__])
    for module in (json, cloudpickle, flowdeck.tasks, pickle, sys, pytest):
        assert not is_of_user(module)


def test_other_pickles_of_the_process_are_left_alone() -> None:
    import cloudpickle

    before = set(cloudpickle.list_registry_pickle_by_value())
    PICKLING.dumps({"f": module_from})
    assert set(cloudpickle.list_registry_pickle_by_value()) == before


def test_the_culprit_is_named() -> None:
    lock = threading.Lock()

    def uses() -> None:
        lock.acquire()

    assert what_is_wrong(PICKLING, {"a": [1, lock]}) == "['a'][1]"
    assert wrong_in_function(PICKLING, uses) == " (it uses 'lock', a lock)"
    assert wrong_in_function(PICKLING, print) == ""


def test_many_threads_may_pickle_at_once() -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                assert PICKLING.loads(PICKLING.dumps(module_from)).__name__ == "module_from"
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


@pytest.mark.parametrize(
    "runner",
    [
        SequentialTaskRunner(),
        ConcurrentTaskRunner(max_workers=3),
        DaskTaskRunner(cluster_kwargs={"n_workers": 3}),
        RayTaskRunner(init_kwargs={"num_cpus": 1}),
    ],
    ids=lambda runner: runner.name,
)
def test_a_flow_that_a_task_calls_travels_with_its_runner(runner: Any) -> None:
    @flow(task_runner=runner)
    def child(x: int) -> int:
        return x

    copy = PICKLING.loads(PICKLING.dumps(child))
    assert copy.fn(3) == 3
    assert copy.task_runner == runner


# -- what cloudpickle does not know ----------------------------------------------------------------------

HELPERS = """
import functools, threading

@functools.lru_cache(maxsize=7)
def power(n): return 1 if n == 0 else 2 * power(n - 1)

@functools.cache
def late(): return power(3)

class Box:
    @functools.cached_property
    def size(self): return power(4)
    @functools.lru_cache
    def scaled(self, by): return self.size * by
    @functools.singledispatchmethod
    def kind(self, x): return "other"
    @kind.register
    def _(self, x: int): return "int"

@functools.singledispatch
def name(x): return "other"

@name.register
def _(x: int): return "int"

@name.register
def _(x: Box): return name(x.size) + " in a box"

def cached(): return power(5), late(), power.cache_parameters()["maxsize"]
def boxed(): box = Box(); return box.size, box.scaled(2), box.kind(1), box.kind("1")
def dispatched(): return name(1), name("1"), name(Box())

lock = threading.Lock()
def locked(): return lock
def uses_it(): return locked()
def uses_that(): return uses_it()
"""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("cached", (32, 8, 7)),
        ("boxed", (16, 32, "int", "other")),
        ("dispatched", ("int", "other", "int in a box")),
    ],
)
def test_decorated_functions_of_the_flows_file_work_elsewhere(
    tmp_path: Path, function: str, expected: Any
) -> None:
    module = module_from(tmp_path / "helpers.py", "helpers", HELPERS)
    try:
        assert call_elsewhere(PICKLING.dumps(getattr(module, function))) == expected
    finally:
        del sys.modules["helpers"]


def test_decorated_functions_of_installed_modules_travel_by_name() -> None:
    import fnmatch

    cached = fnmatch._compile_pattern  # type: ignore[attr-defined]
    assert type(cached).__name__ == "_lru_cache_wrapper"
    assert PICKLING.loads(PICKLING.dumps(cached)) is cached


def test_what_cannot_travel_is_found_behind_other_functions(tmp_path: Path) -> None:
    module = module_from(tmp_path / "helpers.py", "helpers", HELPERS)
    del sys.modules["helpers"]  # so that it is no way out to send its functions by name
    said = wrong_in_function(PICKLING, module.uses_that)
    assert said == " (it uses 'uses_it', which uses 'locked', which uses 'lock', a lock)"


# -- exceptions ----------------------------------------------------------------------------------------


class Demanding(Exception):
    """Cannot be made from its own args, and holds something that cannot be pickled."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.lock = threading.Lock()


def raised(error: BaseException) -> BaseException:
    def inner() -> None:
        raise error

    try:
        inner()
    except BaseException as caught:
        return caught
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("k"),
        FileNotFoundError(2, "No such file", "/a/b"),
        UnicodeDecodeError("utf8", b"\xff", 0, 1, "bad"),
        SyntaxError("odd", ("f.py", 3, 1, "x =", 3, 4)),
        SystemExit(3),
        KeyboardInterrupt(),
        ExceptionGroup("many", [ValueError(1), KeyError(2)]),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("others", [False, True], ids=["alone", "with-dask-or-ray"])
def test_exceptions_arrive_as_they_were(
    error: BaseException, others: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once imported, Dask and Ray have tblib pickle the exceptions of the whole process, and an
    # earlier test may have done so.
    for kind in type(error).__mro__[:-1]:
        if others:
            monkeypatch.setitem(copyreg.dispatch_table, kind, pickle_exception)
        else:
            monkeypatch.delitem(copyreg.dispatch_table, kind, raising=False)
    copy = unpack(pack(raised(error), PICKLING))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert repr(copy.args) == repr(error.args)
    assert getattr(copy, "code", None) == getattr(error, "code", None)


def test_an_exception_with_an_odd_init_keeps_its_class_and_attributes() -> None:
    copy = unpack(pack(raised(Demanding(7, "no")), PICKLING))
    assert isinstance(copy, Demanding)
    assert str(copy) == "7: no"
    assert copy.code == 7
    assert not hasattr(copy, "lock")


def test_causes_contexts_and_notes_arrive() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            second = ValueError("second")
            second.add_note("a note")
            raise second from first
    except ValueError as error:
        copy = unpack(pack(error, PICKLING))
    assert isinstance(copy.__cause__, KeyError)
    assert copy.__suppress_context__
    assert copy.__notes__ == ["a note"]


def test_an_exception_that_is_its_own_cause_does_not_hang() -> None:
    error = ValueError("round")
    other = KeyError("and round")
    error.__cause__, other.__cause__ = other, error
    copy = unpack(pack(error, PICKLING))
    assert isinstance(copy.__cause__, KeyError)


def test_the_traceback_shows_the_lines_of_the_other_process() -> None:
    error = raised(ValueError("here"))
    line = traceback.extract_tb(error.__traceback__)[-1].lineno
    copy = unpack(pack(error, PICKLING))
    frames = traceback.extract_tb(copy.__traceback__)
    assert [(f.name, f.lineno) for f in frames][-1] == ("inner", line)
    assert frames[-1].line == "raise error"
    assert "^" not in "".join(traceback.format_exception(copy))  # columns are not known


def test_an_exception_whose_class_is_unknown_here_says_what_it_was(tmp_path: Path) -> None:
    module = module_from(
        tmp_path / "gone.py", "gone", "class Gone(Exception):\n    def __reduce__(self): 1 / 0\n"
    )
    try:
        data = pack(raised(module.Gone("bye")), PICKLING)
    finally:
        del sys.modules["gone"]
    assert str(unpack(data)) == "bye"
    assert isinstance(unpack(b"nonsense"), FailedRun)


def test_a_base_exception_that_cannot_travel_stays_a_crash() -> None:
    class Odd(BaseException):
        def __reduce__(self) -> Any:
            raise TypeError

        def __new__(cls, *args: Any) -> Self:
            if not args:
                raise RuntimeError
            return super().__new__(cls, *args)

    copy = unpack(pack(raised(Odd(threading.Lock())), PICKLING))
    assert isinstance(copy, (Odd, CrashedRun))
    assert not isinstance(copy, FailedRun)


# -- values --------------------------------------------------------------------------------------------


def test_small_values_ride_along_and_big_ones_stay() -> None:
    data = carried({"a": [1, 2]}, PICKLING)
    assert data is not None
    value = Carried(data)
    assert value.load() == {"a": [1, 2]}
    assert value.load() is value.load()
    assert carried("x" * (CARRY + 1), PICKLING) > CARRY
    assert carried(list(range(CARRY)), PICKLING) > CARRY
    for big in bytearray(50_000_000), bytes(50_000_000), [bytes(25_000_000), bytes(25_000_000)]:
        size = carried(big, PICKLING)
        assert type(size) is int
        assert 50_000_000 < size < 50_001_000
    assert carried(list(range(3_000_000)), PICKLING) is None  # that takes too long to find out
    many = list(range(3_000_000))
    assert weight(many, PICKLING, 50_000_000) == len(PICKLING.dumps(many))
    assert weight(many, PICKLING, 1_000_000) is None
    assert is_atom("x" * CARRY)
    assert not is_atom("x" * (CARRY + 1))


def test_what_cannot_be_pickled_is_found_before_it_is_sent() -> None:
    with pytest.raises(TypeError, match="lock"):
        carried({"a": threading.Lock()}, PICKLING)


def test_a_reply_hands_its_big_buffers_on() -> None:
    reply = Reply(COMPLETED, pickle.PickleBuffer(bytearray(b"x" * 100_000)), "cloudpickle")
    outside: list[pickle.PickleBuffer] = []
    data = pickle.dumps(reply, 5, buffer_callback=outside.append)
    assert len(data) < 1000
    assert sum(buffer.raw().nbytes for buffer in outside) >= 100_000
    copy = pickle.loads(data, buffers=outside)
    assert bytes(copy.content) == b"x" * 100_000


def test_a_reply_is_pickled_by_value_and_never_imports_the_users_modules(tmp_path: Path) -> None:
    module = module_from(
        tmp_path / "shapes.py",
        "shapes",
        "class Shape:\n    def __init__(self, n): self.n = n\n    def area(self): return self.n\n",
    )
    data = pickle.dumps(Reply(COMPLETED, module.Shape(3), "cloudpickle"), 5)
    del sys.modules["shapes"]
    assert call_elsewhere(pickle.dumps(pickle.loads), data).content.area() == 3
    assert isinstance(pickle.loads(data).content, module.Shape)


def test_which_replies_let_dependents_start() -> None:
    for code, strict, lenient in [
        (COMPLETED, True, True), (FAILED, False, True), (CRASHED, False, True),
        (PENDING, False, True),
    ]:  # fmt: skip
        reply = Reply(code, None, "cloudpickle")
        assert reply.passes(failure_allowed=False) is strict
        assert reply.passes(failure_allowed=True) is lenient


def test_each_flavour_of_pickling_is_made_once() -> None:
    assert pickling_of("cloudpickle") is pickling_of("cloudpickle")
    assert isinstance(pickling_of("cloudpickle"), Pickling)


SLOTTED = """
    from dataclasses import dataclass
    from typing import Generic, NamedTuple, TypeVar

    T = TypeVar("T")

    class Plain:
        __slots__ = ("a",)
        def __init__(self, a=1): self.a = a

    class More(Plain):
        __slots__ = "b"
        def __init__(self): super().__init__(); self.b = 2

    class Open(Plain):
        def __init__(self): super().__init__(); self.b = 2

    class Empty:
        __slots__ = ()

    class Private:
        __slots__ = ("__a", "__weakref__")
        def __init__(self): self.__a = 1
        @property
        def a(self): return self.__a

    class Box(Generic[T]):
        __slots__ = ("a",)
        def __init__(self): self.a = 1

    @dataclass(slots=True)
    class Data: a: int = 1

    @dataclass(slots=True, frozen=True)
    class Frozen: a: int = 1

    class Pair(NamedTuple): a: int = 1

    def again(index):
        # What is made there is of a class that travelled.
        return [Plain, More, Open, Empty, Private, Box, Data, Frozen, Pair][index]()
"""
#: What unpickles a function, calls it, and pickles what that returns.
MAKE = """
import sys
from flowdeck.remote.values import pickling_of
pickling = pickling_of(sys.argv[1])
function = pickling.loads(sys.stdin.buffer.read())
sys.stdout.buffer.write(pickling.dumps([function(index) for index in range(9)]))
"""


@pytest.mark.parametrize("flavour", ["cloudpickle", "ray.cloudpickle"])
def test_objects_with_slots_come_back_from_where_their_class_went_by_value(
    tmp_path: Path, flavour: str
) -> None:
    module = module_from(tmp_path / "slotted.py", "slotted_classes", SLOTTED)
    pickling = pickling_of(flavour)
    found = subprocess.run(
        [sys.executable, "-c", MAKE, flavour],
        input=pickling.dumps(module.again),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    made = pickling.loads(found.stdout)
    here = [module.again(index) for index in range(9)]
    assert [type(one) for one in made] == [type(one) for one in here]
    assert [getattr(one, "a", None) for one in made] == [getattr(one, "a", None) for one in here]
    assert [getattr(made[index], "b", None) for index in (1, 2)] == [2, 2]
    assert [hasattr(one, "__dict__") for one in made] == [hasattr(one, "__dict__") for one in here]
