"""What the tests of the command line share: a record to fill, and processes to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdeck_store import events, failures
from flowdeck_store import states as st
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import NO_BUCKET, bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.testing import Result

    from flowdeck_store.read.records import FlowRunRecord
    from flowdeck_store.session import RecordingSession

SECOND = 1_000_000
#: 2026-11-22 10:00:00 UTC.
T0 = 1_795_341_600 * SECOND
ROOT = Path(__file__).parents[2]


def objects(result: Result) -> list[dict[str, Any]]:
    """The JSON objects that a verb wrote, one a line."""
    return [json.loads(line) for line in result.stdout.splitlines()]


@dataclass
class Shell:
    """The command line in a process of its own."""

    env: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-P", "-m", "flowdeck_app", *args]

    def __call__(self, *args: str, timeout: float = 55, **options: Any) -> Any:
        env = {**os.environ, **self.env, **options.pop("env", {})}
        return subprocess.run(
            self.command(*args), capture_output=True, text=True, timeout=timeout, env=env, **options
        )

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        env = {**os.environ, **self.env, **options.pop("env", {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(self.command(*args), text=True, env=env, **options)
        self.started.append(process)
        return process

    def end_all(self) -> None:
        """End what a failed test has left running."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            for stream in (process.stdout, process.stderr):
                if stream is not None and not stream.closed:
                    stream.close()
            process.wait()


def write(name: str, text: str) -> Path:
    """Write a file of flows into the working directory; newer than what it replaces."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.stat().st_mtime if path.exists() else None
    path.write_text(textwrap.dedent(text))
    if before is not None:
        # Python takes the compiled file for current if size and second of the source are the same.
        os.utime(path, (before + 10, before + 10))
    return path


@dataclass
class Record:
    """Puts runs into the record, as the engine would, and commits each."""

    home: Path
    session: RecordingSession
    count: int = 0

    def run(
        self,
        name: str = "brave-otter",
        *,
        flow: str = "etl",
        code: int = st.COMPLETED,
        named: str | None = None,
        message: str | None = None,
        created: int = T0,
        seconds: float = 2.5,
        **fields: Any,
    ) -> str:
        """Record a flow run in a state, and return its uid."""
        self.count += 1
        uid = f"{self.count:032x}"
        self.session.emit(
            events.run(
                uid, created, flow_key=f"/flows/{flow}.py:{flow}", flow_name=flow, name=name,
                source=f"/flows/{flow}.py:14", **{"runner": "concurrent", **fields},
            )
        )  # fmt: skip
        self.state(uid, 0, st.RUNNING, us=created + SECOND)
        if code != st.RUNNING:
            ended = created + SECOND + round(seconds * SECOND)
            self.state(uid, 0, code, us=ended, named=named, message=message)
        return self.flushed(uid)

    def state(
        self, uid: str, no: int, code: int, *, us: int = T0, named: str | None = None,
        message: str | None = None, attempt: int = 1, prev: int = NO_BUCKET,
        data: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        text = json.dumps(data) if data else None
        self.session.emit(
            events.state(uid, no, prev, code, us, named, message, attempt, "thread-1", text)
        )

    def task(
        self,
        uid: str,
        no: int,
        name: str = "fetch-0",
        *,
        code: int = st.COMPLETED,
        named: str | None = None,
        message: str | None = None,
        seconds: float = 1.5,
        at: float = 0.0,
        inputs: Sequence[tuple[str, str | None, int]] = (),
        params: dict[str, str] | None = None,
    ) -> None:
        """Record a task run that went through Pending, a second later Running, into a state; it was
        called so many seconds after :data:`T0`."""
        called = T0 + round(at * SECOND)
        task = name.partition("-")[0]
        key = f"etl.{task}"
        self.session.emit(events.task_def(key, task, "/flows/etl.py:3", None, 2))
        self.session.emit(events.task(uid, no, called, key, name, None, tuple(inputs) or None))
        pending, running = bucket(st.PENDING, None), bucket(st.RUNNING, None)
        data = {"params": params} if params else None
        self.state(uid, no, st.RUNNING, us=called + SECOND, prev=pending, data=data)
        if code != st.RUNNING:
            us = called + SECOND + round(seconds * SECOND)
            self.state(uid, no, code, us=us, named=named, message=message, prev=running)
        self.session.flush()

    def log(self, uid: str, no: int, message: str, *, level: int = 20, us: int = T0) -> None:
        logger = "flowdeck.task_runs" if no else "flowdeck.flow_runs"
        self.session.emit(events.log(uid, no, us, level, logger, message))
        self.session.flush()

    def failure(self, uid: str, no: int, exception: dict[str, Any]) -> None:
        structure, variables = failures.split(exception)
        self.session.emit(
            events.failure(
                uid, no, T0, 1, exception["type"], exception["message"], structure, variables
            )
        )
        self.session.flush()

    def emit(self, event: events.Event) -> None:
        self.session.emit(event)
        self.session.flush()

    def flushed(self, uid: str) -> str:
        assert self.session.flush()
        return uid


def exception_dict(**more: Any) -> dict[str, Any]:
    """A captured exception with one frame of a user and one of a library."""
    frames = [
        {"file": "/flows/etl.py", "lineno": 5, "end_lineno": 5, "col": 11, "end_col": 24,
         "func": "fetch", "module": "etl", "is_user": True,
         "source": [4, ["def fetch(page):", "    return parse(page) + 1"]],
         "locals": [{"name": "page", "type": "int", "repr": "3"},
                    {"name": "token", "type": "str", "repr": "<hidden>", "hidden": True}]},
        {"file": "/lib/parser.py", "lineno": 90, "end_lineno": 90, "col": None, "end_col": None,
         "func": "inner", "module": "parser", "is_user": False, "source": None, "locals": []},
        {"file": "/lib/parser.py", "lineno": 99, "end_lineno": 99, "col": None, "end_col": None,
         "func": "parse", "module": "parser", "is_user": False, "source": None, "locals": []},
    ]  # fmt: skip
    base: dict[str, Any] = {
        "type": "ValueError", "module": "builtins", "message": "bad page 3", "notes": [],
        "frames": frames, "suppress_context": False, "group": [],
    }  # fmt: skip
    return {**base, **more}


def runs(home: Path) -> list[FlowRunRecord]:
    """The runs in the record, newest first."""
    with Reader.open(home) as reader:
        return reader.runs()


def until(condition: Callable[[], bool], seconds: float = 45) -> None:
    """Wait until a condition holds, looking often.

    Raises:
        AssertionError: it does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
