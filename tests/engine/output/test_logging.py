"""Log lines: the engine's own, those of run loggers, and those of other loggers."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, get_run_logger, task
from flowdeck.context import FlowRunContext, TaskRunContext
from flowdeck.exceptions import MissingContextError
from flowdeck.logging import disable_logger, disable_run_logger, get_logger
from flowdeck.runs import recorder as recording
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record, run_in_memory
from flowdeck_store import events
from flowdeck_store.read.reader import Reader

pytestmark = pytest.mark.timeout(60)

PAGE = Path(__file__).parents[2] / "data" / "reference.txt"


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@contextlib.contextmanager
def bare() -> Any:
    """Our loggers and the root without the handlers that pytest puts on them: the way of a script."""
    from flowdeck import logging as ours

    foreign = [
        (logger, handler)
        for logger in (ours._root, logging.root)
        for handler in logger.handlers
        if type(handler).__module__.startswith("_pytest")
    ]
    for logger, handler in foreign:
        logger.removeHandler(handler)
    try:
        yield
    finally:
        for logger, handler in foreign:
            logger.addHandler(handler)


@contextlib.contextmanager
def with_handlers_of_the_application() -> Any:
    """The way of the engine's own lines through :mod:`logging` instead of past it."""
    handler = logging.NullHandler()
    logger = logging.getLogger("flowdeck.task_runs")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


both_ways = pytest.mark.parametrize("way", [bare, with_handlers_of_the_application])


# -- the engine's lines, as the reference prints them ---------------------------------------------------------


def _shape(line: str) -> str:
    """Leave out of a line what differs from run to run."""
    line = re.sub(r"^1?(\d\d:\d\d:\d\d\.\d{3})", "TIME", line)
    line = line.replace("prefect", "flowdeck")
    line = re.sub(r"'[a-z]+-[a-z]+'(?! - Created flow run)", "'RUN'", line)
    return re.sub(r"-[0-9a-f]{8}-", "-HASH-", line)


@both_ways
def test_a_run_prints_the_lines_of_the_reference(capsys: Any, way: Any) -> None:
    @task
    def hello_local() -> None:
        print("Hello!")

    @task
    def hello_dask() -> None:
        print("Hello from Dask!")

    @flow(task_runner=SequentialTaskRunner())
    def sequential_flow() -> None:
        hello_local.submit()
        dask_subflow()
        hello_local.submit()

    @flow(task_runner=ConcurrentTaskRunner())
    def dask_subflow() -> None:
        hello_dask.submit()

    with way(), run_in_memory(console=True):
        sequential_flow()
    ours = [_shape(line) for line in capsys.readouterr().err.splitlines()]
    page = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(page) if "Created flow run 'ivory-caiman'" in line)
    end = next(i for i, line in enumerate(page) if "'ivory-caiman' - Finished in state" in line)
    reference = [
        _shape(line)
        for line in page[start : end + 1]
        if " | " in line and "task_runner.dask" not in line  # the lines of its cluster
    ]
    # What the reference leaves out for the task on the cluster is printed like for any other.
    finished = "TIME | INFO    | Task run 'hello_dask-HASH-0' - Finished in state Completed()"
    reference.insert(
        next(i for i, x in enumerate(reference) if "'hello_dask-HASH-0' for execution" in x) + 1,
        finished,
    )
    assert ours == reference


@both_ways
def test_failures_retries_and_crashes_have_their_lines(capsys: Any, way: Any) -> None:
    class Odd(BaseException): ...

    @task(retries=1)
    def never() -> None:
        raise ValueError("x")

    @task
    def crash() -> None:
        raise Odd("why")

    @flow(task_runner=SequentialTaskRunner(), flow_run_name="run")
    def f() -> None:
        never.submit()
        crash.submit()

    with way(), run_in_memory(console=True, log_level="DEBUG"):
        f(return_state=True)
    text = capsys.readouterr().err
    body = [line.split(" | ", 1)[1] for line in text.splitlines() if " | " in line]
    name, crashed = f"never-{never.short_hash}-0", f"crash-{crash.short_hash}-0"
    message = "Execution was interrupted by an unexpected exception: Odd: why"
    expected = [
        f"ERROR   | Task run '{name}' - Encountered exception during execution:",
        (
            f"INFO    | Task run '{name}' - Received non-final state 'AwaitingRetry' when "
            "proposing final state 'Failed' and will attempt to run again..."
        ),
        (
            f"ERROR   | Task run '{name}' - Finished in state "
            "Failed('Task run encountered an exception ValueError: x')"
        ),
        f"ERROR   | Task run '{crashed}' - Crash detected! {message}",
        f"DEBUG   | Task run '{crashed}' - Crash details:",
        f"ERROR   | Task run '{crashed}' - Finished in state Crashed('{message}')",
        "ERROR   | Flow run 'run' - Finished in state Failed('2/2 states failed.')",
    ]
    positions = [body.index(line) for line in expected]
    assert positions == sorted(positions)
    assert 'raise ValueError("x")' in text
    assert "\nValueError: x\n" in text


def test_levels_are_padded_and_times_have_milliseconds(capsys: Any) -> None:
    @flow
    def f() -> None:
        for level in (10, 20, 30, 40, 50, 25):
            get_run_logger().log(level, "at %s", level)

    with run_in_memory(console=True, log_level="DEBUG"):
        f()
    lines = [x for x in capsys.readouterr().err.splitlines() if " - at " in x]
    assert [line.split(" | ")[1] for line in lines] == [
        "DEBUG  ", "INFO   ", "WARNING", "ERROR  ", "CRITICAL", "Level 25",
    ]  # fmt: skip
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} \| ", line) for line in lines)


@both_ways
def test_the_console_level_and_switch_are_settings(capsys: Any, way: Any) -> None:
    @flow
    def f() -> None:
        get_run_logger().debug("quiet")
        get_run_logger().warning("loud")

    with way(), run_in_memory(console=True, log_level="WARNING") as record:
        f()
    err = capsys.readouterr().err
    assert "loud" in err
    assert "quiet" not in err
    assert "Finished" not in err
    assert "quiet" in record.logs
    with way(), run_in_memory(console=False):
        f()
    assert capsys.readouterr().err == ""


# -- run loggers ------------------------------------------------------------------------------------------------


def test_run_loggers_carry_the_run_and_extra_fields() -> None:
    seen: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    handler = Keep()
    loggers = [logging.getLogger(n) for n in ("flowdeck.flow_runs", "flowdeck.task_runs")]
    for logger in loggers:
        logger.addHandler(handler)

    @task(task_run_name="the-task")
    def t() -> None:
        get_run_logger(batch=7).info("in task", extra={"more": 8})

    @flow(name="f", flow_run_name="the-flow")
    def f() -> None:
        get_run_logger().info("in flow")
        t()

    try:
        with run_in_memory() as record:
            f()
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    by_text: dict[str, Any] = {r.getMessage(): r for r in seen}
    in_flow, in_task = by_text["in flow"], by_text["in task"]
    assert (in_flow.flow_run_name, in_flow.flow_name) == ("the-flow", "f")
    assert in_flow.name == "flowdeck.flow_runs"
    assert not hasattr(in_flow, "task_run_id")
    assert (in_task.task_run_name, in_task.task_name, in_task.flow_run_name) == (
        "the-task", "t", "the-flow",
    )  # fmt: skip
    assert (in_task.batch, in_task.more) == (7, 8)
    assert in_task.task_run_id.startswith(in_task.flow_run_id)
    # Handlers of the application see the engine's own lines too, and nothing is recorded twice.
    assert "Finished in state Completed()" in by_text
    assert record.logs.count("in task") == 1
    assert record.logs.count("Created task run") == 0


def test_the_logger_is_that_of_the_innermost_run(record: Record) -> None:
    @task
    def t() -> None:
        get_run_logger().info("task")
        assert FlowRunContext.get() is not None
        get_run_logger(FlowRunContext.get()).info("flow, from the task")
        get_run_logger(TaskRunContext.get()).info("task again")

    @flow
    def f() -> None:
        get_run_logger().info("flow")
        t()

    f()
    own = [(e["no"], e["msg"]) for e in record.of_kind(events.LOG) if "state" not in e["msg"]]
    assert (0, "flow") in own
    assert (1, "task") in own
    assert (0, "flow, from the task") in own
    assert (1, "task again") in own


def test_outside_of_runs_there_is_no_run_logger() -> None:
    with pytest.raises(
        MissingContextError, match=r"There is no active flow or task run context\."
    ) as caught:
        get_run_logger()
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(
        TypeError,
        match=r"Received unexpected type 'int' for context\. Expected one of 'None', "
        r"'FlowRunContext', or 'TaskRunContext'\.",
    ):
        get_run_logger(3)


def test_disable_run_logger_lets_functions_be_tested(caplog: Any) -> None:
    @task
    def t() -> int:
        get_run_logger().error("not shown")
        return 5

    with disable_run_logger():
        assert t.fn() == 5
    assert "not shown" not in caplog.text
    with pytest.raises(MissingContextError):
        t.fn()


@both_ways
def test_disable_logger_silences_one(record: Record, way: Any) -> None:
    @flow
    def f() -> None:
        with disable_logger("flowdeck.flow_runs"):
            get_run_logger().info("silent")
        get_run_logger().info("audible")

    with way():
        f()
    assert "silent" not in record.logs
    assert "audible" in record.logs


@both_ways
@pytest.mark.parametrize("how", ["disabled", "level"])
def test_a_silenced_logger_gets_none_of_the_engines_lines_either(
    record: Record, way: Any, how: str
) -> None:
    @task
    def t() -> None: ...

    @flow(name="f")
    def f() -> None:
        if how == "disabled":
            with disable_logger("flowdeck.task_runs"):
                t()
        else:
            logger = logging.getLogger("flowdeck.task_runs")
            logger.setLevel(logging.ERROR)
            try:
                t()
            finally:
                logger.setLevel(logging.NOTSET)

    with way():
        f()
    lines = {(event["logger"], event["msg"]) for event in record.of_kind(events.LOG)}
    assert not [line for line in lines if line[0] == "flowdeck.task_runs"]
    assert ("flowdeck.flow_runs", "Finished in state Completed('All states completed.')") in lines


def test_threads_of_the_user_may_use_a_logger_they_are_given(record: Record) -> None:
    problems: list[Any] = []

    @task
    def t() -> None:
        logger = get_run_logger()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda i: logger.info("given %s", i), range(3)))

        def without_context() -> None:
            try:
                get_run_logger()
            except MissingContextError as error:
                problems.append(error)

        thread = threading.Thread(target=without_context)
        thread.start()
        thread.join()

    @flow
    def f() -> None:
        t()

    f()
    of_task = [e["msg"] for e in record.of_kind(events.LOG) if e["no"] == 1]
    assert {"given 0", "given 1", "given 2"} <= set(of_task)
    import sys

    assert len(problems) == (0 if sys.version_info >= (3, 14) else 1)


def test_a_logger_may_outlive_its_run(record: Record) -> None:
    kept: list[Any] = []

    @flow
    def f() -> None:
        kept.append(get_run_logger())

    f()
    kept[0].info("afterwards")
    assert record.logs[-1] == "afterwards"


def test_exceptions_stacks_and_bad_formats(record: Record, capsys: Any) -> None:
    @flow
    def f() -> None:
        logger = get_run_logger()
        try:
            raise ValueError("inner")
        except ValueError:
            logger.exception("it broke")
        logger.info("%d items", "three")  # as with any logger: reported on stderr, not raised

    with bare():
        f()
    (text,) = [t for t in record.logs if t.startswith("it broke")]
    assert "ValueError: inner" in text
    assert "Traceback" in text
    assert "--- Logging error ---" in capsys.readouterr().err


# -- what may be in a line ----------------------------------------------------------------------------------------


def test_lines_of_any_content_are_recorded(home: Any, capsys: Any) -> None:
    lines = [
        "x" * 10_000_000,
        "nul \x00 bell \x07 escape \x1b[31m backspace \b",
        "lone surrogate \udcff and [markup] {braces} %s %(x)s",
        "several\nlines\r\nof text",
        "☃ 🚀 é",
        "",
    ]

    @flow
    def f() -> None:
        logger = get_run_logger()
        for line in lines:
            logger.info(line)
        logger.info("%s", b"bytes \xff")
        logger.info({"any": "object"})
        for _ in range(5):
            logger.info("after")

    f()
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        assert run.state == "Completed"
        found = [x.message for x in reader.logs(run.id, 0, limit=1000)]
    assert found.count("after") == 5
    huge = [text for text in found if text.startswith("xxx")]
    assert len(huge) == 1
    assert any("escape" in text for text in found)
    assert "several\nlines\r\nof text" in found
    assert "☃ 🚀 é" in found
    assert any("[markup] {braces} %s %(x)s" in text for text in found)
    assert "{'any': 'object'}" in found


# -- other loggers --------------------------------------------------------------------------------------------------


@pytest.fixture
def library() -> Any:
    """A logger of somebody's library, as it was afterwards."""
    names = ["somelib", "somelib.part", "otherlib"]
    yield logging.getLogger("somelib")
    from flowdeck import logging as ours

    for name in names:
        logger = logging.getLogger(name)
        logger.removeHandler(ours._handler)
        logger.setLevel(logging.NOTSET)


def test_other_loggers_are_not_recorded_unless_asked_for(library: Any, record: Record) -> None:
    @flow
    def f() -> None:
        library.warning("from the library")

    f()
    assert "from the library" not in record.logs


def test_extra_loggers_are_recorded_once_for_the_run_they_are_used_in(library: Any) -> None:
    part = logging.getLogger("somelib.part")

    @task
    def t() -> None:
        library.info("in the task")
        part.info("part in the task")

    @flow
    def f() -> None:
        library.info("in the flow")
        t()

    with run_in_memory(extra_loggers=["somelib", "somelib.part"]) as record:
        f()
        library.info("outside")
    found = [
        (e["no"], e["logger"], e["msg"])
        for e in record.of_kind(events.LOG)
        if e["logger"].startswith("somelib")
    ]
    assert found == [
        (0, "somelib", "in the flow"),
        (1, "somelib", "in the task"),
        (1, "somelib.part", "part in the task"),
    ]


def test_extra_loggers_keep_a_level_of_their_own(library: Any) -> None:
    library.setLevel(logging.ERROR)

    @flow
    def f() -> None:
        library.warning("too low")
        library.error("high enough")

    with run_in_memory(extra_loggers=["somelib"]) as record:
        f()
    assert "high enough" in record.logs
    assert "too low" not in record.logs


def test_get_logger_stays_below_the_package() -> None:
    assert get_logger().name == "flowdeck"
    assert get_logger("engine").name == "flowdeck.engine"
    assert get_logger("flowdeck.engine").name == "flowdeck.engine"
    assert ConcurrentTaskRunner().logger.name == "flowdeck.task_runner.concurrent"


def test_an_applications_basic_config_prints_nothing_twice(capsys: Any, tmp_path: Any) -> None:
    import os
    import subprocess
    import sys

    script = tmp_path / "script.py"
    script.write_text(
        "import logging, sys\nlogging.basicConfig(level=0, stream=sys.stdout)\n"
        "from flowdeck import flow, get_run_logger\n"
        "@flow\ndef f():\n    get_run_logger().warning('once')\nf()\n"
    )
    env = {**os.environ, "FLOWDECK_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("once") == 1
