"""What goes wrong on a Dask cluster: each run still ends in the right state, and says why."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from clusters import (
    ANSWERS,
    Machine,
    cancel_soon,
    closed_port,
    identity,
    impostor,
    is_alive,
    length,
    machine,
    note_pid_and_wait,
    states_of,
    until,
    with_group,
)
from dask_programs import Programs
from flowdeck import flow, task, unmapped
from flowdeck.runs import recorder as recording
from flowdeck.task_runners import DaskTaskRunner
from flowdeck_store.read.reader import Reader

distributed = pytest.importorskip("distributed")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.dask, pytest.mark.timeout(180)]

TWO: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """A cluster that outlives what happens in these tests."""
    with Programs(tmp_path_factory.mktemp("dask")) as running:
        yield running


# -- workers that die --------------------------------------------------------------------------------------


def test_a_task_that_ends_its_process_is_tried_as_often_as_the_cluster_says(
    tmp_path: Path, programs: Programs
) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()

    @task
    def leave(folder: str) -> None:
        descriptor, _ = __import__("tempfile").mkstemp(dir=folder)
        os.close(descriptor)
        time.sleep(0.2)  # so that this is known to run
        os._exit(1)

    @flow(task_runner=DaskTaskRunner(address=programs.address))
    def f() -> Any:
        bad = leave.submit(str(calls))
        return bad.wait().name, identity.submit(3).result()

    assert f() == ("Crashed", 3)
    assert len(list(calls.iterdir())) == 4  # Dask's own default: three more


@pytest.mark.long  # a cluster of its own: 15 s
def test_a_task_that_ends_its_process_is_not_tried_again_on_a_cluster_of_ours(
    tmp_path: Path, home: Path
) -> None:
    @task
    def leave() -> None:
        with open(tmp_path / "calls", "a") as file:
            file.write("x")
        time.sleep(1)  # so that this is known to run
        os._exit(1)

    @flow(task_runner=DaskTaskRunner(cluster_kwargs=TWO))
    def f() -> Any:
        return leave.submit().wait().name, identity.submit(3).result()

    assert f() == ("Crashed", 3)
    assert (tmp_path / "calls").read_text() == "x"
    # What Dask itself says of it is in the record, not on the terminal.
    recording.close_all()
    with Reader.open(home) as reader:
        lines = reader.logs(reader.resolve_run("@last").id)
    assert any(line.logger.startswith("distributed") for line in lines)


@pytest.mark.long  # a cluster of its own: 15 s
def test_a_completed_run_stays_completed_when_dask_computes_it_again(
    tmp_path: Path, home: Path
) -> None:
    mark, calls = tmp_path / "pid", tmp_path / "calls"
    calls.mkdir()

    @task
    def make(folder: str) -> bytes:
        descriptor, _ = __import__("tempfile").mkstemp(dir=folder)
        os.close(descriptor)
        return os.getpid().to_bytes(4, "little") + bytes(100_000)

    @flow(task_runner=DaskTaskRunner(cluster_kwargs=TWO))
    def f() -> Any:
        big = make.submit(str(calls))
        holder = int.from_bytes(identity.submit(big).result()[:4], "little")
        os.kill(holder, signal.SIGKILL)
        until(lambda: not is_alive(holder))
        again = int.from_bytes(big.result()[:4], "little")
        return holder != again

    mark.touch()
    assert f() is True
    assert len(list(calls.iterdir())) == 2
    assert states_of(home)[1] == ["Pending", "Running", "Completed"]
    with Reader.open(home) as reader:
        texts = [line.message for line in reader.logs(reader.resolve_run("@last").id, 1)]
    assert sum(text.startswith("Finished in state") for text in texts) == 1
    (again,) = [text for text in texts if text.startswith("Executed again on the cluster")]
    assert "was executed 2 times by now" in again


@task
def wait_or_weigh(path: str, big: bytes) -> int:
    """Runs until the test is done with it, if there is a path."""
    if path:
        note_pid_and_wait.fn(path)
    return len(big)


def test_tasks_that_wait_for_a_worker_get_the_argument_they_share_though_who_had_it_died(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1}))
    def f() -> Any:
        first, *others = wait_or_weigh.map([str(mark), "", ""], unmapped(b"x" * 1_000_000))
        pid = int(until(lambda: mark.exists() and mark.read_text()))
        os.kill(pid, signal.SIGKILL)
        return first.wait().name, [other.result() for other in others]

    assert f() == ("Crashed", [1_000_000, 1_000_000])


def test_a_value_is_computed_again_even_if_the_next_worker_dies_of_something_else(
    tmp_path: Path,
) -> None:
    """The task was marked as one that has begun; since it ended, that says nothing any more."""

    @task
    def make(folder: str) -> bytes:
        calls = len(os.listdir(folder))
        with open(f"{folder}/{calls}.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(f"{folder}/{calls}.new", f"{folder}/{calls}")
        if calls == 1:
            time.sleep(100)
        return bytes(100_000)

    folder = tmp_path / "calls"
    folder.mkdir()

    def kill(call: int) -> None:
        until(lambda: (folder / str(call)).exists())
        os.kill(int((folder / str(call)).read_text()), signal.SIGKILL)

    @flow(task_runner=DaskTaskRunner(cluster_kwargs=TWO))
    def f() -> Any:
        big = make.submit(str(folder))
        big.wait()
        kill(0)
        kill(1)
        return length.submit(big).result()

    assert f() == 100_000
    assert sorted(os.listdir(folder)) == ["0", "1", "2"]


def test_the_error_of_a_killed_task_says_what_happened(home: Path) -> None:
    @task
    def leave() -> None:
        os._exit(1)

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1}))
    def f() -> None:
        leave.submit().wait()

    with pytest.raises(distributed.KilledWorker) as caught:
        f()
    said = str(caught.value)
    assert said.startswith("The worker tcp://")
    assert "died: it was killed, ran out of memory, or its process exited." in said
    assert "different workers" not in said
    recording.close_all()
    with Reader.open(home) as reader:
        (failure, *_) = reader.failures(reader.resolve_run("@last").id, 1)
    assert failure.exc_type.endswith(".KilledWorker")
    assert failure.exc_msg == said


# -- clusters that are gone, or never were ---------------------------------------------------------------


def test_a_cluster_that_goes_away_crashes_what_it_had(tmp_path: Path, home: Path) -> None:
    mark = tmp_path / "pid"
    with Programs(tmp_path) as doomed:

        @flow(task_runner=DaskTaskRunner(address=doomed.address, client_kwargs={"timeout": 3}))
        def f() -> Any:
            running = note_pid_and_wait.submit(str(mark))
            waiting = [identity.submit(running), identity.submit(1, wait_for=[running])]
            until(mark.exists)
            for process in (doomed.scheduler, *doomed.workers):
                assert process is not None
                with_group(process, signal.SIGKILL)
            state = running.wait()
            late = identity.submit(5).wait()
            return str(state), str(late), [future.wait().name for future in waiting]

        state, late, names = f()
    assert "The connection to the Dask scheduler was lost" in state
    assert "The connection to the Dask scheduler was lost" in late
    assert names == ["NotReady", "NotReady"]
    history = states_of(home)
    assert [states[-1] for states in history.values()] == [
        "Crashed", "NotReady", "NotReady", "Crashed",
    ]  # fmt: skip


def test_an_address_where_nothing_answers_is_told_within_seconds() -> None:
    @flow(task_runner=DaskTaskRunner(address=f"tcp://127.0.0.1:{closed_port()}"))
    def f() -> None:
        raise AssertionError("never called")

    began = time.monotonic()
    with pytest.raises(ConnectionError, match="There is no Dask scheduler at tcp://"):
        f()
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_something_else_that_answers_is_told_within_seconds(answer: bytes) -> None:
    threads = set(threading.enumerate())
    with impostor(answer) as there:
        runner = DaskTaskRunner(address=f"tcp://{there}", client_kwargs={"timeout": 2})

        @flow(task_runner=runner)
        def f() -> None:
            raise AssertionError("never called")

        began = time.monotonic()
        with pytest.raises(ConnectionError, match="does not talk like a Dask scheduler"):
            f(return_state=True)
    assert time.monotonic() - began < 15
    left = [thread.name for thread in threading.enumerate() if thread not in threads]
    assert [name for name in left if not name.startswith("flowdeck-")] == []


def test_a_worker_without_flowdeck_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    shadow = tmp_path / "shadow" / "flowdeck"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'flowdeck'\")")
    environment = {"PYTHONPATH": str(shadow.parent)}
    with Programs(tmp_path, workers=1, environment=environment) as bare:

        @flow(task_runner=DaskTaskRunner(address=bare.address))
        def f() -> None:
            raise AssertionError("never called")

        with pytest.raises(RuntimeError, match=r"worker at .* cannot import flowdeck .* Install"):
            f()
        with distributed.Client(bare.address, set_as_default=False) as client:
            assert client.submit(abs, -1).result(30) == 1  # it is still there


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (("0.0.9", 99, "3.11.1"), "has flowdeck 0.0.9, which does not fit. Install flowdeck "),
        (("x", None, "2.7.18"), "runs Python 2.7.18, this flow Python "),
        (ImportError("No module named 'flowdeck'"), "cannot import flowdeck (No module"),
        (OSError("odd"), "does not answer as it should: OSError: odd"),
    ],
)
def test_versions_that_do_not_fit_are_told(found: Any, says: str) -> None:
    from flowdeck.task_runners._dask.check import misfit
    from flowdeck.task_runners._dask.worker import versions

    assert misfit(versions()) is None
    if isinstance(found, tuple) and found[1] is None:
        found = (found[0], versions().protocol, found[2])
    problem = misfit(found)
    assert problem is not None
    assert problem.startswith(says)


def test_code_that_a_worker_cannot_import_crashes_its_task_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    # A module with a lock cannot travel by value, and the workers do not have it.
    (tmp_path / "only_by_name.py").write_text(
        "import threading\nLOCK = threading.Lock()\ndef use():\n    with LOCK: return 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_by_name  # type: ignore[import-not-found]

    @flow(task_runner=DaskTaskRunner(address=programs.address))
    def f() -> Any:
        bad = identity.submit(only_by_name.use).wait()
        return str(bad.message), [future.result() for future in identity.map(range(4))]

    message, values = f()
    assert "ModuleNotFoundError: No module named 'only_by_name'" in message
    assert values == [0, 1, 2, 3]


# -- stopping ------------------------------------------------------------------------------------------------


def test_a_function_that_cannot_be_interrupted_ends_with_its_cluster(
    tmp_path: Path, home: Path
) -> None:
    mark = tmp_path / "pid"

    @task
    def block() -> None:
        (tmp_path / "new").write_text(str(os.getpid()))
        os.rename(tmp_path / "new", mark)
        time.sleep(120)  # inside one C call

    @flow(task_runner=DaskTaskRunner(cluster_kwargs=TWO))
    def f() -> None:
        blocked = block.submit()
        until(lambda: blocked.get_state().is_running() and mark.exists())
        cancel_soon()
        blocked.wait()

    began = time.monotonic()
    assert f(return_state=True).is_cancelled()
    assert time.monotonic() - began < 60
    until(lambda: not is_alive(int(mark.read_text())))
    assert states_of(home)[1] == ["Pending", "Running", "Cancelled"]


SCRIPT = """
    import time
    from flowdeck import flow, task
    from flowdeck.task_runners import DaskTaskRunner

    @task
    def forever(n):
        import os
        print("pid", os.getpid(), flush=True)
        while True:
            time.sleep(0.01)

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 1}))
    def main():
        forever.map(range(4))

    main()
"""


def started(there: Machine) -> tuple[subprocess.Popen[str], list[int]]:
    """Start that script; return it and its workers' pids."""
    process = there.start(SCRIPT)
    assert process.stdout is not None
    return process, [int(process.stdout.readline().split()[1]) for _ in range(2)]


def test_ctrl_c_ends_everything_without_noise() -> None:
    with machine() as there:
        process, _ = started(there)
        with_group(process, signal.SIGINT)  # as a terminal does: to all of them
        _, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGINT
        until(lambda: there.left == [])
        with there.reader() as reader:
            assert reader.resolve_run("@last").is_final
    log, _, trace = err.partition("Traceback (most recent call last)")
    assert all(" | " in line for line in log.splitlines()), err
    assert "Traceback" not in trace
    assert trace.rstrip().endswith("KeyboardInterrupt")
    assert "Execution was aborted by an interrupt signal." in log


def test_workers_do_not_outlive_a_killed_flow_and_the_next_one_cleans_up() -> None:
    with machine() as there:
        process, _ = started(there)
        process.kill()
        process.communicate(timeout=60)
        until(lambda: there.processes == [])
        assert len(list(there.temp.glob("flowdeck-dask-*"))) == 1
        process, _ = started(there)
        process.terminate()
        process.communicate(timeout=60)
        until(lambda: there.left == [])
