"""What goes wrong on a Dask cluster: each run still ends in the right state, and says why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from dask_programs import Programs, with_group
from flowdeck import cancellation, flow, recording, task
from flowdeck.task_runners import DaskTaskRunner
from flowdeck_store.reader import Reader

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


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@task
def note_pid_and_wait(path: str) -> None:
    """Runs until the test is done with it."""
    with open(path + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".new", path)
    deadline = time.monotonic() + 120
    while os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)


@task
def count_call(folder: str, x: int) -> int:
    descriptor, _ = __import__("tempfile").mkstemp(prefix=f"{x}-", dir=folder)
    os.close(descriptor)
    time.sleep(0.002)
    return x


@task
def identity(x: Any) -> Any:
    return x


def states_of(home: Path) -> dict[int, list[str]]:
    """Return the states that each task run of the last flow run went through."""
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        return {
            row.no: [state.state for state in reader.states(run.id, row.no)]
            for row in reader.tasks(run.id, limit=10_000)
        }


# -- workers that die --------------------------------------------------------------------------------------


def test_a_killed_worker_crashes_what_it_executed_and_nothing_else(
    tmp_path: Path, home: Path
) -> None:
    mark, calls = tmp_path / "pid", tmp_path / "calls"
    calls.mkdir()

    @flow(task_runner=DaskTaskRunner(cluster_kwargs=TWO))
    def f() -> Any:
        victim = note_pid_and_wait.submit(str(mark))
        after = identity.submit(victim)
        others = count_call.map([str(calls)] * 200, range(200))
        until(lambda: victim.get_state().is_running() and mark.exists())
        os.kill(int(mark.read_text()), signal.SIGKILL)
        states = [future.wait() for future in others]
        return (
            str(victim.wait().message),
            after.wait().name,
            Counter(state.name for state in states),
            [future.result() for future in others],
        )

    message, after, names, values = f()
    assert message.startswith(
        "Execution was interrupted by an unexpected exception: KilledWorker: The worker tcp://"
    )
    assert "died: it was killed, ran out of memory, or its process exited." in message
    assert after == "NotReady"
    assert names == {"Completed": 200}
    assert values == list(range(200))
    history = states_of(home)
    assert len(history) == 202
    assert history[1] == ["Pending", "Running", "Crashed"]
    assert history[2] == ["Pending", "NotReady"]
    # None lost, none doubled, whatever Dask had to begin anew.
    for no in range(3, 203):
        assert [s for s in history[no] if s != "Rerunning"] == ["Pending", "Running", "Completed"]


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
    assert sum(text.startswith("Executed again on the cluster") for text in texts) == 1


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
    @flow(task_runner=DaskTaskRunner(address=f"tcp://127.0.0.1:{free_port()}"))
    def f() -> None:
        raise AssertionError("never called")

    began = time.monotonic()
    with pytest.raises(ConnectionError, match="There is no Dask scheduler at tcp://"):
        f()
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10])
def test_something_else_that_answers_is_told_within_seconds(answer: bytes) -> None:
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve() -> None:
            server.settimeout(0.1)
            connections = []
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connections.append(connection)
                try:
                    connection.sendall(answer)
                except OSError:
                    pass  # it was only a knock
            for connection in connections:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"

        @flow(task_runner=DaskTaskRunner(address=address, client_kwargs={"timeout": 2}))
        def f() -> None:
            raise AssertionError("never called")

        began = time.monotonic()
        try:
            with pytest.raises(ConnectionError, match="does not talk like a Dask scheduler"):
                f(return_state=True)
        finally:
            stop.set()
            thread.join()
    assert time.monotonic() - began < 15
    assert threading.active_count() <= threads + 1  # the recorder's


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
        (("x", 1, "2.7.18"), "runs Python 2.7.18, this flow Python "),
        (ImportError("No module named 'flowdeck'"), "cannot import flowdeck (No module"),
        (OSError("odd"), "does not answer as it should: OSError: odd"),
    ],
)
def test_versions_that_do_not_fit_are_told(found: Any, says: str) -> None:
    from flowdeck.task_runners.dask_check import misfit
    from flowdeck.task_runners.dask_worker import versions

    assert misfit(versions()) is None
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


def cancel_soon() -> None:
    (run,) = cancellation.live.values()
    threading.Thread(target=cancellation.cancel, args=[run]).start()


def test_cancelling_drops_what_waits_and_interrupts_what_runs(
    tmp_path: Path, home: Path, programs: Programs
) -> None:
    marks = [tmp_path / "a", tmp_path / "b"]

    @flow(task_runner=DaskTaskRunner(address=programs.address))
    def f() -> None:
        running = [note_pid_and_wait.submit(str(mark)) for mark in marks]
        identity.map(range(50))
        identity.submit(running)
        until(lambda: all(future.get_state().is_running() for future in running))
        cancel_soon()
        for future in running:
            future.wait()

    began = time.monotonic()
    assert f(return_state=True).is_cancelled()
    assert time.monotonic() - began < 30
    history = states_of(home)
    assert Counter(states[-1] for states in history.values()) == {"Cancelled": 53}
    assert history[1] == history[2] == ["Pending", "Running", "Cancelled"]

    @flow(task_runner=DaskTaskRunner(address=programs.address))
    def afterwards() -> Any:
        return [future.result() for future in identity.map(range(8))]

    assert afterwards() == list(range(8))


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


def started_script(folder: Path, home: Path) -> tuple[subprocess.Popen[str], list[int]]:
    path = folder / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen(
        [sys.executable, str(path)],
        env={**os.environ, "FLOWDECK_HOME": str(home), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = [int(process.stdout.readline().split()[1]) for _ in range(2)]
    return process, pids


def test_ctrl_c_ends_everything_without_noise(tmp_path: Path, home: Path) -> None:
    process, workers = started_script(tmp_path, home)
    with_group(process, signal.SIGINT)  # as a terminal does: to all of them
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    until(lambda: not any(is_alive(pid) for pid in workers))
    log, _, trace = err.partition("Traceback (most recent call last)")
    assert all(" | " in line for line in log.splitlines()), err
    assert "Traceback" not in trace
    assert trace.rstrip().endswith("KeyboardInterrupt")
    assert "Execution was aborted by an interrupt signal." in log
    assert [path.name for path in tmp_path.glob("*dask*")] == []


def test_workers_do_not_outlive_a_killed_flow_and_the_next_one_cleans_up(
    tmp_path: Path, home: Path
) -> None:
    process, workers = started_script(tmp_path, home)
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not any(is_alive(pid) for pid in workers))
    assert len(list(tmp_path.glob("flowdeck-dask-*"))) == 1
    process, workers = started_script(tmp_path, home)
    process.terminate()
    process.communicate(timeout=60)
    until(lambda: not any(is_alive(pid) for pid in workers))
    assert list(tmp_path.glob("flowdeck-dask-*")) == []


# -- many in a row -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_runs_in_a_row_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    @flow(task_runner=DaskTaskRunner(cluster_kwargs=TWO))
    def f() -> Any:
        return [future.result() for future in identity.map(range(20))]

    def counts() -> tuple[int, int, int]:
        children = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        ours = [c for c in children if "resource_tracker" not in c and " ps " not in c]
        descriptors = len(os.listdir("/proc/self/fd"))
        return len(ours), threading.active_count(), descriptors

    for _ in range(2):  # what Python and Dask start once and keep
        assert f() == list(range(20))
    before = counts()
    for _ in range(18):
        assert f() == list(range(20))
    children, alive, descriptors = counts()
    assert children == before[0]
    assert alive <= before[1]
    assert descriptors <= before[2] + 2
    assert list(folder.iterdir()) == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
