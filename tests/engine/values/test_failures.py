"""Captured failures: what is kept, what is left out, and that nothing an exception does hurts."""

from __future__ import annotations

import importlib.util
import json
import linecache
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck.failures import capture as failures
from flowdeck.failures.capture import Budget, Captured, capture, render
from flowdeck.settings import using
from flowdeck.threads import deadlines
from flowdeck_store.failures import join

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def record(captured: Captured) -> dict[str, Any]:
    return join(captured.structure, captured.variables)


def caught(function: Callable[..., Any], *args: Any) -> BaseException:
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def variables(frame: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in frame["locals"]}


def divide(number: int, divisor: int) -> float:
    label = "a" * 500
    items = list(range(1000))
    del label
    return number / divisor + len(items)


def test_type_message_and_frames_are_kept() -> None:
    captured = capture(caught(divide, 1, 0))
    assert (captured.exc_type, captured.exc_msg) == ("ZeroDivisionError", "division by zero")
    found = record(captured)
    assert (found["type"], found["module"]) == ("ZeroDivisionError", "builtins")
    frame = found["frames"][-1]
    assert frame["func"] == "divide"
    assert frame["file"] == __file__
    assert frame["module"] == __name__
    assert frame["is_user"] is True
    assert frame["lineno"] == divide.__code__.co_firstlineno + 4


def test_source_lines_and_the_failing_part_of_the_line_are_kept() -> None:
    frame = record(capture(caught(divide, 1, 0)))["frames"][-1]
    first, lines = frame["source"]
    assert first == frame["lineno"] - 7
    assert len(lines) <= 15
    line = lines[frame["lineno"] - first]
    assert line.strip() == "return number / divisor + len(items)"
    assert line[frame["col"] : frame["end_col"]] == "number / divisor"


def test_columns_count_characters_not_bytes() -> None:
    def fail() -> None:
        ("äöü", [])[1][3]

    frame = record(capture(caught(fail)))["frames"][-1]
    line = frame["source"][1][frame["lineno"] - frame["source"][0]]
    assert line[frame["col"] : frame["end_col"]] == '("äöü", [])[1][3]'


def test_local_variables_are_kept_with_type_bounded_repr_and_size() -> None:
    found = variables(record(capture(caught(divide, 1, 0)))["frames"][-1])
    assert found["number"] == {"name": "number", "type": "int", "repr": "1"}
    assert found["items"]["size"] == 1000
    assert len(found["items"]["repr"]) == 200
    assert "label" not in found


def test_secrets_are_hidden_wherever_they_are() -> None:
    def connect(password: str, user: str) -> None:
        api_key = 12345
        headers = {"Authorization": "Bearer hunter2", "Accept": "*"}
        url = "postgres://ann:hunter2@host/db"
        token = None
        copies = [password, user]
        raise ValueError(user, api_key, len(headers), len(url), token, len(copies))

    captured = capture(caught(connect, "hunter2", "ann"))
    found = variables(record(captured)["frames"][-1])
    assert found["password"] == {
        "name": "password", "type": "str", "repr": "<hidden>", "hidden": True,
    }  # fmt: skip
    assert found["api_key"]["hidden"] is True
    assert found["headers"]["repr"] == "{'Authorization': <hidden>, 'Accept': '*'}"
    assert found["token"]["repr"] == "None"
    assert found["user"]["repr"] == "'ann'"
    assert found["copies"]["repr"] == "['<hidden>', 'ann']"
    assert "hunter2" not in captured.variables


def test_what_is_secret_can_be_changed() -> None:
    def work(password: str, recipe: str) -> None:
        raise ValueError(len(password + recipe))

    error = caught(work, "p", "r")
    shown = variables(record(capture(error, redact=None))["frames"][-1])
    assert shown["password"]["repr"] == "'p'"
    shown = variables(record(capture(error, redact="recipe".__eq__))["frames"][-1])
    assert shown["recipe"]["hidden"] is True
    assert shown["password"]["repr"] == "'p'"
    with using(redact=["rec*"]):
        shown = variables(record(capture(error))["frames"][-1])
    assert shown["recipe"]["hidden"] is True
    assert shown["password"]["repr"] == "'p'"


def test_library_frames_are_marked_and_carry_no_variables_unless_they_raised() -> None:
    error = caught(json.loads, "{")
    frames = record(capture(error))["frames"]
    assert [frame["is_user"] for frame in frames] == [True, False, False, False]
    assert [bool(frame["locals"]) for frame in frames] == [True, False, False, True]
    assert len(frames[1]["source"][1]) <= 5


def test_the_engines_frames_before_the_users_function_are_left_out() -> None:
    error = caught(deadlines.call_with_deadline, divide, (1, 0), {}, 30)
    error = error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None)
    full = record(capture(error, skip_engine=False))["frames"]
    assert {frame["module"] for frame in full[:-1]} == {"flowdeck.threads.deadlines"}
    assert [frame["func"] for frame in record(capture(error))["frames"]] == ["divide"]


def test_an_error_of_the_engine_itself_keeps_its_frames() -> None:
    error = caught(deadlines._value_of, None)
    error = error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None)
    frames = record(capture(error))["frames"]
    assert [(frame["func"], frame["is_user"]) for frame in frames] == [("_value_of", False)]


def test_a_cause_is_kept_and_a_suppressed_context_is_not() -> None:
    def fail(cause: BaseException | None) -> None:
        try:
            divide(1, 0)
        except ZeroDivisionError:
            raise ValueError("second") from cause

    found = record(capture(caught(fail, FileNotFoundError(2, "gone", "file"))))
    assert found["suppress_context"] is True
    assert found["cause"]["type"] == "FileNotFoundError"
    assert found["cause"]["message"] == "[Errno 2] gone: 'file'"
    assert found["context"] is None
    found = record(capture(caught(fail, None)))
    assert found["cause"] is None
    assert found["context"] is None


def test_a_context_is_kept() -> None:
    def fail() -> None:
        try:
            divide(1, 0)
        except ZeroDivisionError:
            raise ValueError("second")  # noqa: B904 - the context is the point

    found = record(capture(caught(fail)))
    assert found["context"]["type"] == "ZeroDivisionError"
    assert [frame["func"] for frame in found["context"]["frames"]][-1] == "divide"
    assert "During handling of the above exception" in capture(caught(fail)).text


def test_exception_groups_keep_their_members() -> None:
    group = ExceptionGroup("two", [caught(divide, 1, 0), TypeError("t")])  # type: ignore[list-item]
    found = record(capture(group))
    assert [member["type"] for member in found["group"]] == ["ZeroDivisionError", "TypeError"]
    assert found["group"][0]["frames"][-1]["func"] == "divide"
    assert "---- 2 ----" in capture(group).text


def test_notes_are_kept() -> None:
    error = ValueError("x")
    error.add_note("first\nline")
    error.add_note("raw \udcff")
    captured = capture(error)
    assert record(captured)["notes"] == ["first\nline", "raw \\udcff"]
    assert captured.text == "ValueError: x\nfirst\nline\nraw \\udcff"


def test_a_syntax_error_without_a_place_has_none_in_its_text() -> None:
    assert capture(SyntaxError("unknown encoding")).text == "SyntaxError: unknown encoding"
    error = SyntaxError("bad", ("x.cfg", None, None, None))
    assert capture(error).text.startswith('  File "x.cfg"\nSyntaxError: bad')


def test_a_syntax_error_keeps_its_place() -> None:
    error = caught(compile, "x = = 1", "script.py", "exec")
    captured = capture(error)
    syntax = record(captured)["syntax"]
    assert (syntax["file"], syntax["lineno"], syntax["col"]) == ("script.py", 1, 4)
    assert syntax["text"] == "x = = 1"
    assert '  File "script.py", line 1\n    x = = 1\n        ^\n' in captured.text


def test_the_type_of_an_own_exception_is_named_with_its_module() -> None:
    class OwnError(Exception):
        pass

    assert capture(OwnError()).exc_type == f"{__name__}.{OwnError.__qualname__}"


# -- the text ---------------------------------------------------------------------------------


def test_the_text_is_the_interpreters_traceback() -> None:
    def fail() -> None:
        try:
            divide(1, 0)
        except ZeroDivisionError as error:
            raise ValueError("bad") from error

    error = caught(fail)
    expected = "".join(traceback.format_exception(error))
    assert without_marks(capture(error).text) == without_marks(expected)
    assert "    return number / divisor + len(items)\n           ^^^^^^" in capture(error).text


def without_marks(text: str) -> list[str]:
    """The interpreter marks operators in its own way."""
    return [line for line in text.splitlines() if set(line.strip()) - set("^~")]


def test_the_text_comes_from_the_record_alone(tmp_path: Path) -> None:
    error = load(tmp_path / "script.py", "def f():\n    secret_plan = 1\n    raise KeyError('k')\n")
    captured = capture(error)
    (tmp_path / "script.py").unlink()
    linecache.clearcache()
    assert render(record(captured)) == captured.text
    assert "raise KeyError('k')" in captured.text
    assert "secret_plan = <hidden>" in render(record(captured), locals=True)


def test_the_source_is_read_as_it_is_when_the_failure_happens(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    capture(load(path, "def f():\n    raise KeyError('old')\n"))
    captured = capture(
        load(path, "# a longer comment than before\ndef f():\n    raise KeyError('new')\n")
    )
    assert "raise KeyError('new')" in captured.text


def load(path: Path, source: str) -> BaseException:
    """Import a module from source and return what its ``f()`` raises."""
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(source, str(path), "exec"), module.__dict__)
    return caught(module.f)


def test_rendering_survives_a_record_with_missing_fields() -> None:
    assert render({}) == "?"
    assert render({"type": "E", "frames": [{}]}) == "Traceback (most recent call last):\nE"


def test_a_recursion_is_shown_in_short() -> None:
    def down(n: int) -> None:
        down(n + 1)

    captured = capture(caught(down, 0))
    frames = record(captured)["frames"]
    assert len(frames) == 100
    assert frames[50]["skipped"] > 500
    assert "frames are left out" in record(captured)["truncated"]
    assert "the same line again" in captured.text
    assert len(captured.text.splitlines()) < 40
    assert len(frames[1]["source"][1]) > 1
    assert len(frames[-1]["source"][1]) == 1


# -- hostile exceptions -----------------------------------------------------------------------


class SillyStr(Exception):
    def __str__(self) -> str:
        raise self.args[0]


class EndlessStr(Exception):
    def __str__(self) -> str:
        while True:
            time.monotonic()


class EndlessRepr:
    def __repr__(self) -> str:
        while True:
            time.monotonic()


class NoAttributes(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__subclasses__":  # Dask asks all exceptions that there are when it is imported
            return super().__getattribute__(name)
        raise RuntimeError(name)


class Weird(Exception, metaclass=Meta):
    pass


@pytest.mark.parametrize("inner", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_a_message_that_raises_says_so(inner: BaseException) -> None:
    captured = capture(SillyStr(inner))
    assert captured.exc_msg.startswith(f"<str() of SillyStr failed: {type(inner).__name__}")


def test_a_message_that_never_ends_is_cut_off() -> None:
    started = time.perf_counter()
    captured = capture(EndlessStr())
    assert captured.exc_msg == "<str() of EndlessStr took too long>"
    assert time.perf_counter() - started < 5


def test_a_variable_whose_repr_never_ends_does_not_cost_the_others() -> None:
    def work(first: object, second: object) -> None:
        raise ValueError(first is second)

    started = time.perf_counter()
    found = variables(record(capture(caught(work, EndlessRepr(), 2)))["frames"][-1])
    # The second text: on a busy machine the time for all of them may be over before it begins.
    assert found["first"]["repr"] in {
        "<EndlessRepr repr took too long>",
        "<EndlessRepr: no time left to show it>",
    }
    assert found["second"]["repr"] == "2"
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("number", [0, 1])
def test_exceptions_that_fight_back_are_captured(number: int) -> None:
    error = (NoAttributes, Weird)[number]("x")
    captured = capture(caught(raise_, error))
    assert captured.exc_type == f"{__name__}.{('NoAttributes', 'Weird')[number]}"
    assert record(captured)["frames"]


def raise_(error: BaseException) -> None:
    raise error


def test_a_cyclic_chain_ends() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__context__, second.__context__ = second, first
    found = record(capture(first))
    assert found["context"]["message"] == "2"
    assert found["context"]["context"] is None


def test_a_long_chain_is_cut() -> None:
    error = ValueError("0")
    for number in range(1, 500):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    captured = capture(error)
    assert "truncated" in captured.structure
    assert captured.text.count("direct cause") == Budget().exceptions - 1


def test_a_huge_group_is_cut() -> None:
    group = ExceptionGroup("many", [ValueError(n) for n in range(1000)])
    found = record(capture(group))
    assert len(found["group"]) == Budget().exceptions - 1
    assert found["truncated"] == "more exceptions are left out"


def test_a_huge_message_is_cut() -> None:
    captured = capture(ValueError("x" * 10**7))
    assert len(captured.exc_msg) == Budget().message


def test_a_record_keeps_within_its_size() -> None:
    def deep(n: int, pad: str) -> None:
        values = {f"key{i}": [pad * 50] * 50 for i in range(30)}
        if n:
            deep(n - 1, pad)
        raise ValueError(pad * 100_000, len(values))

    captured = capture(caught(deep, 60, "é"))
    assert len(captured.structure) + len(captured.variables) < 66 * 1024
    found = record(captured)
    assert "shortened to 64 KB" in found["truncated"]
    assert found["frames"][-1]["func"].endswith("deep")
    assert found["frames"][-1]["locals"]


@pytest.mark.parametrize("size", [200, 500, 2000, 10_000])
def test_a_smaller_size_keeps_what_matters_most(size: int) -> None:
    error = caught(divide, 1, 0)
    error.__cause__ = caught(divide, 2, 0)
    captured = capture(error, budget=Budget(size=size))
    found = record(captured)
    assert (found["type"], found["message"]) == ("ZeroDivisionError", "division by zero")
    assert found["frames"][-1]["func"] == "divide"


def test_many_variables_are_cut() -> None:
    names = [f"v{n}" for n in range(200)]
    namespace: dict[str, Any] = {}
    exec("def f():\n " + ";".join(f"{name}=1" for name in names) + "\n 1/0", namespace)
    assert len(record(capture(caught(namespace["f"])))["frames"][-1]["locals"]) == 40


def test_variables_of_a_module_are_its_data_not_its_imports() -> None:
    error = caught(exec, "import os\ndef f(): pass\nrate = 3\n1/0", {"__name__": "script"})
    assert list(variables(record(capture(error))["frames"][-1])) == ["rate"]


def test_raw_bytes_in_a_message_can_be_stored() -> None:
    captured = capture(ValueError("a\udcff\x00\x1b[1m"))
    captured.exc_msg.encode()
    assert captured.exc_msg == "a\\udcff\x00\x1b[1m"


def test_equal_failures_share_their_structure() -> None:
    one, two = capture(caught(divide, 1, 0)), capture(caught(divide, 2, 0))
    other = capture(caught(raise_, ValueError()))
    assert one.structure == two.structure
    assert one.variables != two.variables
    assert other.structure != one.structure


def test_a_bug_while_capturing_still_leaves_type_and_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(failures, "places", broken)
    captured = capture(caught(divide, 1, 0))
    assert (captured.exc_type, captured.exc_msg) == ("ZeroDivisionError", "division by zero")
    assert "RuntimeError" in captured.text


def test_where_an_abandoned_function_hangs_can_be_captured() -> None:
    release = threading.Event()

    def hang(reason: str) -> None:
        release.wait(30)

    error = caught(deadlines.call_with_deadline, hang, ("because",), {}, 0.02)
    assert isinstance(error, deadlines.DeadlineExceeded)
    shown = capture(TimeoutError("late").with_traceback(error.interrupted_at))
    release.set()
    frames = record(shown)["frames"]
    assert frames[0]["func"].endswith("hang")
    assert variables(frames[0])["reason"]["repr"] == "'because'"


def test_an_ordinary_capture_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread"))
    assert capture(caught(divide, 1, 0)).exc_msg == "division by zero"
