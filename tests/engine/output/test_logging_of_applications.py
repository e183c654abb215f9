"""Run lines and the logging of an application: its handlers get them, its configuration does not
stop the record, and the console shows each line once."""

from __future__ import annotations

import logging
import logging.config
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, get_run_logger, task
from flowdeck.testing import Record, run_in_memory
from flowdeck_store import events


@task
def work(text: str = "from the task") -> None:
    get_run_logger().info(text)


@flow
def talk() -> None:
    get_run_logger().warning("from the flow")
    work()
    work.submit("from a submitted task").wait()


class Keep(logging.Handler):
    """What Sentry, OpenTelemetry and the like are: a handler of the root logger."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def at_root() -> Any:
    handler = Keep()
    logging.root.addHandler(handler)
    yield handler
    logging.root.removeHandler(handler)


def test_handlers_of_the_root_logger_get_the_lines_of_runs_once(
    record: Record, at_root: Keep
) -> None:
    talk()
    for text in ("from the flow", "from the task", "from a submitted task"):
        assert at_root.lines.count(text) == 1
        assert record.logs.count(text) == 1
    finished = [r for r in at_root.records if r.getMessage() == "Finished in state Completed()"]
    assert {getattr(r, "task_name", None) for r in finished} == {"work"}
    for one in at_root.records:  # what they get can be sent anywhere
        pickle.dumps(one.__dict__)
    assert [line for line in record.logs if line.startswith("Created task")] == [
        line for line in at_root.lines if line.startswith("Created task")
    ]


def test_they_get_what_their_level_lets_through(record: Record) -> None:
    handler = Keep(logging.WARNING)
    logging.root.addHandler(handler)
    try:
        talk()
    finally:
        logging.root.removeHandler(handler)
    assert handler.lines == ["from the flow"]
    assert "from the task" in record.logs


def test_an_application_that_wants_propagation_gets_each_line_once(
    record: Record, at_root: Keep
) -> None:
    logger = logging.getLogger("flowdeck")
    talk()
    at_root.records.clear()
    logger.propagate = True
    try:
        talk()
    finally:
        logger.propagate = False
    assert at_root.lines.count("from the task") == 1


def test_caplog_sees_the_lines_from_the_first_run_on(tmp_path: Path) -> None:
    """In a process of its own: the first run of a process is the one that sets logging up."""
    (tmp_path / "test_it.py").write_text(
        "import logging\n"
        "from flowdeck import flow, get_run_logger, task\n"
        "from flowdeck.testing import run_in_memory\n"
        "@task\ndef t():\n    get_run_logger().info('from the task')\n"
        "@flow\ndef f():\n    get_run_logger().warning('from the flow')\n    t.submit()\n"
        "def check(caplog):\n"
        "    with run_in_memory():\n        f()\n"
        "    assert caplog.messages.count('from the flow') == 1\n"
        "    assert caplog.messages.count('from the task') == 1\n"
        "    assert ('flowdeck.flow_runs', logging.WARNING, 'from the flow') in caplog.record_tuples\n"
        "def test_first(caplog):\n    check(caplog)\n"
        "def test_second(caplog):\n    check(caplog)\n"
        "def test_level(caplog):\n"
        "    with caplog.at_level(logging.WARNING):\n        with run_in_memory():\n            f()\n"
        "    assert caplog.messages == ['from the flow']\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path, env={**os.environ, "FLOWDECK_HOME": str(tmp_path / "home")},
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


PROGRAM = """
import logging, logging.config, sys
from flowdeck import flow, get_run_logger, task
{setup}
@task
def t(): get_run_logger().error("in the task")
@flow(log_prints=True)
def f():
    get_run_logger().info("in the flow")
    print("printed")
    t.submit()
    logging.getLogger("theirs").warning("of theirs")
f()
"""


@pytest.mark.parametrize(
    ("setup", "console"),
    [
        ("logging.basicConfig(level=logging.INFO)", "true"),
        ("logging.basicConfig(level=logging.INFO)", "false"),
        ("logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)", "true"),
        ("logging.getLogger('flowdeck').addHandler(logging.StreamHandler())", "true"),
        (
            (
                "logging.config.dictConfig({'version': 1, 'handlers': {'c': {'class': "
                "'logging.StreamHandler'}}, 'loggers': {'flowdeck': {'handlers': ['c'], 'level': "
                "'INFO'}}, 'root': {'level': 'INFO', 'handlers': ['c']}})"
            ),
            "true",
        ),
    ],
    ids=["basic", "only basic", "stdout", "on ours", "dict"],
)
def test_nothing_is_printed_twice_and_nothing_is_missing(
    tmp_path: Path, setup: str, console: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM.format(setup=setup))
    env = {**os.environ, "FLOWDECK_HOME": str(tmp_path / "home"), "FLOWDECK_CONSOLE": console}
    done = subprocess.run(
        [sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    for text in ("in the flow", "printed", "in the task", "of theirs"):
        assert (done.stdout + done.stderr).count(text) == 1, done.stdout + done.stderr


def test_a_configuration_in_the_middle_of_a_flow_does_not_stop_the_record(
    record: Record, loggers_as_before: None
) -> None:
    @task
    def configure() -> None:
        get_run_logger().info("before")
        logging.config.dictConfig({"version": 1, "root": {"level": "WARNING"}})
        logging.getLogger("flowdeck").setLevel(logging.NOTSET)  # as suites that restore loggers do
        get_run_logger().info("after")
        logging.getLogger("flowdeck.engine").info("of the engine")

    @flow(log_prints=True)
    def f() -> None:
        logger = get_run_logger()
        configure()
        logger.info("kept logger")
        print("printed")
        logging.config.dictConfig(
            {"version": 1, "loggers": {"flowdeck": {"handlers": [], "level": "DEBUG"}}}
        )
        work()
        logger.info("named")

    f()
    expected = ["before", "after", "kept logger", "printed", "from the task", "named"]
    assert [text for text in record.logs if text in expected] == expected
    assert record.logs[-1] == "Finished in state Completed('All states completed.')"


def test_a_badly_formatted_call_is_one_line_that_names_the_call() -> None:
    pytest_handlers = list(logging.root.handlers)

    @flow(log_prints=True)
    def f() -> None:
        get_run_logger().info("%d items for %s", "three")
        print("after")

    ours = logging.getLogger("flowdeck")
    theirs = [(lg, h) for lg in (logging.root, ours) for h in lg.handlers if h in pytest_handlers]
    for logger, handler in theirs:  # they raise
        logger.removeHandler(handler)
    try:
        with run_in_memory() as record:
            f()
    finally:
        for logger, handler in theirs:
            logger.addHandler(handler)
    own = [e for e in record.of_kind(events.LOG) if e["logger"] == "flowdeck.flow_runs"]
    texts = [e["msg"] for e in own]
    [bad] = [text for text in texts if "cannot be formatted" in text]
    assert "'%d items for %s', 'three'" in bad
    assert "test_logging_of_applications.py:" in bad
    assert "\n" not in bad
    assert len([text for text in texts if not text.startswith(("Starting", "Finished"))]) == 2
    assert own[texts.index(bad)]["level"] == logging.WARNING
