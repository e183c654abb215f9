"""Run flows as users do (a script in a process of its own) and read what was recorded."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord


@dataclass(frozen=True)
class Ran:
    """One finished process and the record that it left."""

    code: int
    out: str
    err: str
    home: Path

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def log(self) -> list[str]:
        """The console's lines without their times."""
        return [line.partition(" | ")[2] for line in self.err.splitlines()]

    @property
    def runs(self) -> list[FlowRunRecord]:
        """The recorded flow runs, oldest first, subflows too."""
        with Reader.open(self.home) as reader:
            return reader.runs(order="oldest")

    @property
    def run(self) -> FlowRunRecord:
        """The only flow run."""
        (run,) = self.runs
        return run

    @property
    def tasks(self) -> list[TaskRunRecord]:
        """The task runs of all flow runs, in the order of their submission."""
        with Reader.open(self.home) as reader:
            return [task for run in self.runs for task in reader.tasks(run.id, limit=10_000)]

    def states_of(self, task: TaskRunRecord) -> list[str]:
        """The names of the states that a task run went through."""
        with Reader.open(self.home) as reader:
            return [state.state for state in reader.states(task.run_id, task.no)]

    def upstream_of(self, task: TaskRunRecord) -> list[str | None]:
        """The names of the task runs whose values or ends a task run waited for."""
        with Reader.open(self.home) as reader:
            found = reader.upstreams(task.run_id, [task.no]).get(task.no, [])
        return [upstream.name for upstream in found]


def run_python(*arguments: str | Path, home: Path, timeout: float = 50, **variables: str) -> Ran:
    """Run this Python with the arguments; the record goes to ``home``."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "FLOWDECK_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr, home)


def run_text(text: str, *, folder: Path, home: Path, timeout: float = 50) -> Ran:
    """Write the text to a script and run it."""
    script = folder / "sample.py"
    script.write_text(text, encoding="utf-8")
    return run_python(script, home=home, timeout=timeout)


@contextlib.contextmanager
def running_text(text: str, *, folder: Path, home: Path) -> Iterator[Callable[[], Ran]]:
    """Start a script with the text, go on meanwhile; yield what waits for its end."""
    script = folder / "sample.py"
    script.write_text(text, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "FLOWDECK_HOME": str(home), "FLOWDECK_CONFIG": os.devnull},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:

        def end() -> Ran:
            out, err = process.communicate(timeout=50)
            return Ran(process.returncode, out, err, home)

        try:
            yield end
        finally:
            process.kill()
