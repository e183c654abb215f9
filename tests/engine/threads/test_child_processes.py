"""Child processes of functions that are stopped: cancelled, out of time, killed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.stopping import cancellation
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import run_in_memory
from flowdeck.threads import active, child_processes

pytestmark = [
    pytest.mark.timeout(60),
    # A stopped function may not come to wait for its child.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
RUNNERS = [SequentialTaskRunner(), ConcurrentTaskRunner(max_workers=2)]
both = pytest.mark.parametrize("runner", RUNNERS, ids=["sequential", "concurrent"])

#: Tells its number once it is ready, and goes on for longer than a test may take.
LONG = 'echo $$ > "$1"; exec sleep 100'
STUBBORN = "trap '' TERM; " + LONG


def number(file: Path) -> int:
    """Wait for the number that a process tells."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            text = file.read_text()
            if text.endswith("\n"):
                return int(text)
        time.sleep(0.01)
    raise AssertionError(f"nothing began that writes {file.name}")


def goes_on(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def ends(pid: int) -> bool:
    """Wait until it has ended; ``False`` after a time that nothing takes but what goes on."""
    deadline = time.monotonic() + 20
    while goes_on(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Files for the numbers of processes; those that still go on are killed at the end."""
    folder = tmp_path / "told"
    folder.mkdir()
    yield folder.joinpath
    for file in folder.iterdir():
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)
    gc.collect()  # what Python says of children that nobody waited for is said here


def when_told(file: Path, do: Callable[[Any], object]) -> None:
    """From inside a flow: once the process has told its number, ``do(run)`` on another thread."""
    run = active.current_flow_run.get()

    def act() -> None:
        number(file)
        do(run)

    threading.Thread(target=act, daemon=True).start()


def cancel_first(run: Any) -> None:
    run.cancel_task(1)


def args(file: Path, code: str = LONG) -> list[str]:
    return ["sh", "-c", code, "sh", str(file)]


# -- what ends --------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("code", [LONG, STUBBORN], ids=["listens", "ignores SIGTERM"])
def test_a_cancelled_task_ends_the_child_that_it_waits_for(
    runner: BaseTaskRunner, code: str, told: Callable[[str], Path]
) -> None:
    after = []

    @task
    def waits() -> None:
        subprocess.run(args(told("child"), code), check=False)
        after.append("the next line")

    @flow(task_runner=runner)
    def main() -> str:
        when_told(told("child"), cancel_first)
        return waits(return_state=True).name

    started = time.monotonic()
    with run_in_memory():
        assert main() == "Cancelled"
    assert time.monotonic() - started < 30
    assert ends(number(told("child")))
    assert after == []


@both
def test_a_cancelled_flow_ends_what_its_tasks_started(
    runner: BaseTaskRunner, told: Callable[[str], Path]
) -> None:
    @task
    def waits(name: str) -> None:
        subprocess.Popen(args(told(name))).wait()

    @flow(task_runner=runner)
    def main() -> None:
        when_told(told("0"), cancellation.cancel)
        waits.map(["0"])

    with run_in_memory():
        assert main(return_state=True).name == "Cancelled"
    assert ends(number(told("0")))


@both
@pytest.mark.parametrize("code", [LONG, STUBBORN], ids=["listens", "ignores SIGTERM"])
def test_a_task_whose_time_is_up_ends_its_child_and_is_not_left_behind(
    runner: BaseTaskRunner, code: str, told: Callable[[str], Path]
) -> None:
    @task(timeout_seconds=1.5)
    def waits() -> None:
        subprocess.run(args(told("child"), code), check=False)

    @flow(task_runner=runner)
    def main() -> str:
        return waits(return_state=True).name

    with run_in_memory() as record:
        assert main() == "TimedOut"
    assert ends(number(told("child")))
    assert not any("goes on in the background" in line for line in record.logs)


@both
def test_a_cancelled_async_task_ends_the_child_that_it_awaits(
    runner: BaseTaskRunner, told: Callable[[str], Path]
) -> None:
    @task
    async def waits() -> None:
        process = await asyncio.create_subprocess_exec(*args(told("child")))
        await process.wait()

    @flow(task_runner=runner)
    def main() -> str:
        when_told(told("child"), cancel_first)
        return waits(return_state=True).name

    with run_in_memory():
        assert main() == "Cancelled"
    assert ends(number(told("child")))


@pytest.mark.parametrize("blocks", [False, True], ids=["awaits", "blocks the loop"])
def test_a_cancelled_async_flow_ends_its_own_child(
    blocks: bool, told: Callable[[str], Path]
) -> None:
    @flow
    async def main() -> None:
        when_told(told("child"), cancellation.cancel)
        if blocks:
            subprocess.run(args(told("child")), check=False)
        else:
            await (await asyncio.create_subprocess_exec(*args(told("child")))).wait()

    with run_in_memory():
        assert asyncio.run(main(return_state=True)).name == "Cancelled"  # type: ignore[arg-type]
    assert ends(number(told("child")))


@pytest.mark.parametrize("main_thread", [True, False])
def test_a_flow_whose_time_is_up_ends_its_own_child(
    main_thread: bool, told: Callable[[str], Path]
) -> None:
    @flow(timeout_seconds=1.5)
    def main() -> None:
        subprocess.Popen(args(told("child"))).wait()

    with run_in_memory():
        if main_thread:
            state = main(return_state=True)
        else:
            states: list[Any] = []
            thread = threading.Thread(target=lambda: states.append(main(return_state=True)))
            thread.start()
            thread.join()
            (state,) = states
    assert state.name == "TimedOut"
    assert ends(number(told("child")))


def test_what_a_child_started_ends_with_it_and_what_left_its_session_does_not(
    told: Callable[[str], Path],
) -> None:
    @task
    def waits() -> None:
        daemon, grandchild = (shlex.join(args(told(name))) for name in ("daemon", "grandchild"))
        subprocess.run(f"setsid {daemon} & {grandchild}; true", shell=True, check=False)

    @flow
    def main() -> str:
        number_of_daemon = told("daemon")
        when_told(told("grandchild"), lambda run: (number(number_of_daemon), run.cancel_task(1)))
        return waits(return_state=True).name

    with run_in_memory():
        assert main() == "Cancelled"
    assert ends(number(told("grandchild")))
    assert goes_on(number(told("daemon")))


def test_a_child_that_leads_a_session_ends_with_its_group(told: Callable[[str], Path]) -> None:
    @task
    def waits() -> None:
        inside = shlex.join(args(told("inside")))
        subprocess.run(f"{inside}; true", shell=True, check=False, start_new_session=True)

    @flow
    def main() -> str:
        when_told(told("inside"), cancel_first)
        return waits(return_state=True).name

    with run_in_memory():
        assert main() == "Cancelled"
    assert ends(number(told("inside")))


# -- what goes on -------------------------------------------------------------------------------------


def test_children_of_the_flow_of_other_tasks_and_of_tasks_that_ended_go_on(
    told: Callable[[str], Path],
) -> None:
    held = []

    @task
    def leaves() -> None:
        held.append(subprocess.Popen(args(told("left"))))

    @task
    def waits(name: str) -> int:
        return subprocess.run(args(told(name)), check=False).returncode

    @task
    def is_cancelled() -> None:
        held[0].wait()  # the child of another one
        raise AssertionError("it went on after the wait")

    @flow(task_runner=ConcurrentTaskRunner())
    def main() -> list[bool]:
        held.append(outside)
        held.append(subprocess.Popen(args(told("flow"))))
        leaves()
        cancelled, other = waits.submit("cancelled"), waits.submit("other")
        names = ["outside", "flow", "left", "other"]
        pids = {name: number(told(name)) for name in [*names, "cancelled"]}
        active.current_flow_run.get().cancel_task(2)
        assert cancelled.wait().is_cancelled()
        assert ends(pids["cancelled"])
        alive = [goes_on(pids[name]) for name in names]
        os.kill(pids["other"], signal.SIGINT)
        other.wait()
        return alive

    outside = subprocess.Popen(args(told("outside")))
    try:
        with run_in_memory():
            assert main() == [True] * 4
    finally:
        for process in held:
            process.kill()
            process.wait()


def test_what_a_stopped_function_starts_to_clean_up_may_end(
    told: Callable[[str], Path], tmp_path: Path
) -> None:
    cleaned = tmp_path / "cleaned"

    @task
    def waits() -> None:
        try:
            subprocess.run(args(told("child")), check=False)
        finally:
            subprocess.run([sys.executable, "-c", f"open({str(cleaned)!r}, 'w')"], check=True)

    @flow
    def main() -> str:
        when_told(told("child"), cancel_first)
        return waits(return_state=True).name

    with run_in_memory():
        assert main() == "Cancelled"
    assert cleaned.exists()


def test_what_was_started_is_known_only_while_somebody_holds_it() -> None:
    @task
    def quick() -> None:
        subprocess.run([sys.executable, "-c", ""], check=True)

    @flow
    def main() -> None:
        quick()

    before = set(child_processes._started)
    with run_in_memory():
        main()
    assert set(child_processes._started) <= before


# -- a process that is killed ---------------------------------------------------------------------------

KILLED = """
import subprocess, sys, threading
from pathlib import Path
from flowdeck.threads import active
from flowdeck import flow, task
from flowdeck.stopping import cancellation

@task
def waits():
    subprocess.run(["sh", "-c", {code!r}, "sh", sys.argv[1]])

@flow
def main():
    run = active.current_flow_run.get()
    def kill():
        while not Path(sys.argv[1]).exists() or not Path(sys.argv[1]).read_text().endswith("\\n"):
            pass
        cancellation.kill(run, "Killed.")
    threading.Thread(target=kill, daemon=True).start()
    waits.submit()

main()
"""


def test_a_run_that_is_killed_takes_the_children_of_its_tasks_with_it(
    told: Callable[[str], Path], tmp_path: Path
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(code=STUBBORN))
    done = subprocess.run(
        [sys.executable, script, told("child")], env={**os.environ, "FLOWDECK_CONSOLE": "no"}
    )
    assert done.returncode == 130
    assert ends(number(told("child")))
