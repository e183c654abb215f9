"""`log_prints`: which prints become log lines, and which go where they always went."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import contextvars
import io
import pprint
import sys
import threading
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record, run_in_memory
from flowdeck_store import events

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]


@pytest.fixture(autouse=True)
def _print_is_as_it_was() -> Any:
    before = builtins.print
    yield
    assert builtins.print is before


def logged(record: Record) -> list[tuple[int, str, str]]:
    """Return number of the run, logger and text of each line that is not the engine's."""
    engine = ("Created", "Starting", "Finished", "Executing", "Submitted")
    return [
        (e["no"], e["logger"], e["msg"])
        for e in record.of_kind(events.LOG)
        if not e["msg"].startswith(engine)
    ]


@task
def talk(text: str = "from the task") -> None:
    print(text)


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_prints_become_lines_of_the_innermost_run(runner: Any, record: Record, capsys: Any) -> None:
    @flow(log_prints=True, task_runner=runner)
    def f() -> None:
        print("from the flow", 1, [2])
        talk.submit().wait()
        talk()

    f()
    assert logged(record) == [
        (0, "flowdeck.flow_runs", "from the flow 1 [2]"),
        (1, "flowdeck.task_runs", "from the task"),
        (2, "flowdeck.task_runs", "from the task"),
    ]
    assert {e["level"] for e in record.of_kind(events.LOG)} == {20}
    assert capsys.readouterr().out == ""


def test_without_it_prints_go_to_stdout(record: Record, capsys: Any) -> None:
    @flow
    def f() -> None:
        print("from the flow")
        talk.submit().wait()

    f()
    assert capsys.readouterr().out == "from the flow\nfrom the task\n"
    assert logged(record) == []


@pytest.mark.parametrize(
    ("setting", "of_flow", "of_task", "expected"),
    [
        (False, None, None, []),
        (True, None, None, ["flow", "task"]),
        (True, False, None, []),
        (False, True, None, ["flow", "task"]),
        (False, True, False, ["flow"]),
        (False, None, True, ["task"]),
        (True, False, True, ["task"]),
    ],
)
def test_own_value_wins_over_the_flows_and_that_over_the_setting(
    setting: bool, of_flow: Any, of_task: Any, expected: list[str], capsys: Any
) -> None:
    @flow(log_prints=of_flow)
    def f() -> None:
        print("flow")
        talk.with_options(log_prints=of_task).submit("task").wait()

    with run_in_memory(log_prints=setting) as record:
        f()
    assert [text for _, _, text in logged(record)] == expected
    assert capsys.readouterr().out.split() == [x for x in ("flow", "task") if x not in expected]


def test_prints_to_other_files_are_left_alone(record: Record, capsys: Any) -> None:
    other = io.StringIO()

    @flow(log_prints=True)
    def f() -> None:
        print("to a file", file=other)
        print("to stderr", file=sys.stderr)
        print("to stdout", file=sys.stdout, flush=True)
        print("to none", file=None)
        sys.stdout.write("written\n")

    f()
    assert other.getvalue() == "to a file\n"
    assert [text for _, _, text in logged(record)] == ["to stderr", "to stdout", "to none"]
    assert capsys.readouterr().out == "written\n"


def test_separators_ends_and_trailing_space(record: Record) -> None:
    @flow(log_prints=True)
    def f() -> None:
        print("a", "b", sep="-", end="!")
        print("trailing  \n\n")
        print("  leading\nand second line")
        print()
        print("[bold]markup[/bold] {x} %s")

    f()
    assert [text for _, _, text in logged(record)] == [
        "a-b!", "trailing", "  leading\nand second line", "", "[bold]markup[/bold] {x} %s",
    ]  # fmt: skip


def test_a_print_that_raises_raises_in_the_flow() -> None:
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    @flow(log_prints=True)
    def f() -> Any:
        with pytest.raises(RuntimeError, match="no text"):
            print(Bad())
        with pytest.raises(TypeError):
            print("x", nonsense=1)  # type: ignore[call-overload]
        return 1

    assert f() == 1


def test_code_outside_of_the_run_prints_as_always(record: Record, capsys: Any) -> None:
    go, printed = threading.Event(), threading.Event()

    def bystander() -> None:
        go.wait(20)
        print("bystander")
        printed.set()

    thread = threading.Thread(target=contextvars.Context().run, args=[bystander])
    thread.start()

    @flow(log_prints=True)
    def f() -> None:
        go.set()
        printed.wait(20)
        print("flow")

    f()
    thread.join()
    assert capsys.readouterr().out == "bystander\n"
    assert [text for _, _, text in logged(record)] == ["flow"]


def test_a_print_function_that_was_kept_prints_as_always_later(capsys: Any) -> None:
    kept: list[Any] = []

    @flow(log_prints=True)
    def f() -> None:
        kept.append(print)

    f()
    kept[0]("later")
    assert capsys.readouterr().out == "later\n"


def test_async_runs_log_their_prints_side_by_side(record: Record) -> None:
    @task
    async def say(word: str) -> None:
        for _ in range(3):
            print(word)
            await asyncio.sleep(0)

    @flow(log_prints=True)
    async def f() -> None:
        await asyncio.gather(say("a"), say("b"))

    asyncio.run(f())
    by_run: dict[int, set[str]] = {}
    for no, _, text in logged(record):
        by_run.setdefault(no, set()).add(text)
    assert sorted(by_run.values(), key=str) == [{"a"}, {"b"}]


def test_generators_and_timed_tasks_log_their_prints(record: Record) -> None:
    @task
    def items() -> Any:
        print("first")
        yield 1
        print("second")

    @task(timeout_seconds=20)
    def timed() -> None:
        print("timed")

    @flow(log_prints=True)
    def f() -> None:
        items.submit().wait()
        timed()

    f()
    assert logged(record) == [
        (1, "flowdeck.task_runs", "first"),
        (1, "flowdeck.task_runs", "second"),
        (2, "flowdeck.task_runs", "timed"),
    ]


def test_somebody_elses_print_is_put_back(capsys: Any) -> None:
    before = builtins.print
    seen: list[Any] = []

    def own(*values: Any, **options: Any) -> None:
        seen.append(values)

    builtins.print = own
    try:

        @flow(log_prints=True)
        def f() -> None:
            print("to the log")

        f()
        assert builtins.print is own
        print("to own")
    finally:
        builtins.print = before
    assert seen[-1] == ("to own",)


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_redirected_output_gets_what_is_printed(runner: Any, record: Record, tmp_path: Any) -> None:
    buffer, swapped = io.StringIO(), io.StringIO()
    file = tmp_path / "out.txt"

    @task
    def redirects() -> str:
        own = io.StringIO()
        with contextlib.redirect_stdout(own):
            print("task, redirected")
            pprint.pprint({"a": 1})
        print("task, logged")
        return own.getvalue()

    @flow(log_prints=True, task_runner=runner)
    def f() -> str:
        print("logged")
        with contextlib.redirect_stdout(buffer):
            print("redirected")
            pprint.pprint([1])
            talk("direct call, redirected")
        before, sys.stdout = sys.stdout, swapped
        try:
            print("swapped")
            print("to the real one", file=before)
        finally:
            sys.stdout = before
        with file.open("w") as out, contextlib.redirect_stdout(out):
            print("into a file")
        with contextlib.redirect_stderr(buffer):
            print("an error", file=sys.stderr)
        return redirects.submit().result()

    assert f() == "task, redirected\n{'a': 1}\n"
    assert buffer.getvalue() == "redirected\n[1]\ndirect call, redirected\nan error\n"
    assert swapped.getvalue() == "swapped\n"
    assert file.read_text() == "into a file\n"
    assert [text for _, _, text in logged(record)] == ["logged", "to the real one", "task, logged"]


def test_a_run_that_begins_inside_a_redirection_logs_what_goes_there(record: Record) -> None:
    @flow(log_prints=True)
    def f() -> None:
        print("logged")

    buffer = io.StringIO()
    with contextlib.redirect_stdout(buffer):
        f()
    assert buffer.getvalue() == ""
    assert [text for _, _, text in logged(record)] == ["logged"]


def test_prints_that_nobody_records_are_printed(record: Record, capsys: Any) -> None:
    talk.with_options(log_prints=True)("outside of a flow")
    assert capsys.readouterr().out == "outside of a flow\n"
    assert logged(record) == []


def test_hooks_of_a_run_log_their_prints(record: Record) -> None:
    def hook(flow: Any, flow_run: Any, state: Any) -> None:
        print("the hook")

    @flow(log_prints=True, on_completion=[hook])
    def f() -> int:
        return 1

    f()
    assert (0, "flowdeck.flow_runs", "the hook") in logged(record)


def test_threads_belong_to_the_run_whose_context_they_have(record: Record, capsys: Any) -> None:
    def speak(how: str) -> None:
        print(how)

    @task
    async def asks() -> None:
        await asyncio.to_thread(speak, "to_thread")

    @task
    def starts() -> None:
        taken = contextvars.copy_context()
        for target, args in ((taken.run, (speak, "copied")), (speak, ("without",))):
            thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
            thread.start()
            thread.join()

    @flow(log_prints=True)
    def f() -> None:
        asks()
        starts()

    f()
    lines = [(no, text) for no, _, text in logged(record)]
    assert (1, "to_thread") in lines
    assert (2, "copied") in lines
    inherits = sys.version_info >= (3, 14)
    assert ((2, "without") in lines) is inherits
    assert ("without" in capsys.readouterr().out) is not inherits
