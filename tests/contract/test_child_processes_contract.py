"""On every task runner a task that is stopped takes the child processes that it started with it."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clusters import until
from flowdeck import flow, task
from flowdeck.states import State
from flowdeck.stopping import cancellation
from flowdeck.threads import active

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.task_runners import BaseTaskRunner

pytestmark = [
    pytest.mark.timeout(120),
    # A stopped function may not come to wait for its child.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


def wait_for_child(file: str, ignores: bool = False) -> None:
    """Start a process that tells its number and goes on for longer than a test, and wait for it."""
    ignore = "trap '' TERM; " if ignores else ""
    code = f'{ignore}echo $$ > "$1.new"; mv "$1.new" "$1"; exec sleep 100'
    subprocess.run(["sh", "-c", code, "sh", file], check=False)


def goes_on(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """For the number of the process, which is killed at the end if it goes on."""
    told = tmp_path / "child"
    yield told
    if told.exists() and goes_on(pid := int(told.read_text())):
        os.kill(pid, signal.SIGKILL)
    gc.collect()  # what Python says of children that nobody waited for is said here


def ends(file: Path) -> bool:
    pid = int(file.read_text())
    return bool(until(lambda: not goes_on(pid), 20))


@pytest.mark.parametrize("ignores", [False, True], ids=["listens", "ignores SIGTERM"])
def test_a_cancelled_task_ends_the_child_process_that_it_waits_for(
    runner: BaseTaskRunner, file: Path, ignores: bool
) -> None:
    waits = task(wait_for_child)

    @flow(task_runner=runner)
    def main() -> Any:
        run = active.current_flow_run.get()

        def cancel() -> None:
            until(file.exists)
            run.cancel_task(1)  # type: ignore[union-attr]

        threading.Thread(target=cancel, daemon=True).start()
        return waits.submit(str(file), ignores).wait().name

    assert main() == "Cancelled"
    assert ends(file)


def test_a_task_whose_time_is_up_ends_its_child_process(runner: BaseTaskRunner, file: Path) -> None:
    waits = task(wait_for_child, timeout_seconds=2)

    @flow(task_runner=runner)
    def main() -> Any:
        return waits.submit(str(file)).wait().name

    assert main() == "TimedOut"
    assert ends(file)


def test_a_cancelled_flow_ends_the_child_processes_of_its_tasks(
    runner: BaseTaskRunner, file: Path
) -> None:
    waits = task(wait_for_child)

    @flow(task_runner=runner)
    def main() -> None:
        run = active.current_flow_run.get()

        def cancel() -> None:
            until(file.exists)
            cancellation.cancel(run)  # type: ignore[arg-type]

        threading.Thread(target=cancel, daemon=True).start()
        waits.submit(str(file))

    state: State[Any] = main(return_state=True)
    assert state.is_cancelled()
    assert ends(file)
