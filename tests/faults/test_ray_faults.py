"""What goes wrong on Ray: each run still ends in the right state, and says why."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import cancellation, flow, recording, task
from flowdeck.task_runners import RayTaskRunner
from flowdeck.task_runners.ray import remote_options
from flowdeck_store.reader import Reader
from ray_programs import RayHead, command_lines, connected

ray = pytest.importorskip("ray")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    """A Ray that outlives what happens in these tests."""
    with RayHead() as running:
        yield running


@pytest.fixture(scope="module")
def _joined(head: RayHead) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in head.environment.items():
            patch.setenv(name, value)
        with connected(head.address):
            yield


@pytest.fixture
def existing(head: RayHead, _joined: None) -> RayTaskRunner:
    """A runner on that Ray, which this process is connected to."""
    return RayTaskRunner(address=head.address)


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return found


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
    existing: Any, tmp_path: Path, home: Path
) -> None:
    mark = tmp_path / "pid"

    @flow(task_runner=existing)
    def f() -> Any:
        victim = note_pid_and_wait.submit(str(mark))
        after = identity.submit(victim)
        others = identity.map(range(200))
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
        "Execution was interrupted by an unexpected exception: WorkerCrashedError: The worker "
    )
    assert "died" in message
    assert after == "NotReady"
    assert names == {"Completed": 200}
    assert values == list(range(200))
    history = states_of(home)
    assert history.pop(1) == ["Pending", "Running", "Crashed"]
    assert history.pop(2) == ["Pending", "NotReady"]
    assert Counter(map(tuple, history.values())) == {("Pending", "Running", "Completed"): 200}


def test_a_task_that_ends_its_process_is_tried_as_often_as_ray_is_told(
    existing: Any, tmp_path: Path, home: Path
) -> None:
    calls = tmp_path / "calls"

    @task
    def leave_once(path: str) -> str:
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) == 1:
            time.sleep(0.5)  # so that it is known to run
            os._exit(1)
        return "second time"

    @flow(task_runner=existing)
    def f() -> Any:
        once = leave_once.submit(str(calls) + "-never").wait().name
        with remote_options(max_retries=1):
            return once, leave_once.submit(str(calls)).result()

    assert f() == ("Crashed", "second time")
    history = states_of(home)
    assert history[1] == ["Pending", "Running", "Crashed"]
    assert history[2] == ["Pending", "Running", "Rerunning", "Completed"]


def test_states_survive_the_loss_of_the_mailbox(existing: Any, tmp_path: Path, home: Path) -> None:
    mark = tmp_path / "pid"

    @flow(task_runner=existing)
    def f() -> Any:
        running = note_pid_and_wait.submit(str(mark))
        until(mark.exists)
        for name in ray.util.list_named_actors(all_namespaces=True):
            if name["name"].startswith("flowdeck-"):
                actor = ray.get_actor(name["name"], namespace=name["namespace"])
                ray.kill(actor, no_restart=False)
        others = identity.map(range(20))
        mark.unlink()
        running.wait()
        return [future.result() for future in others]

    assert f() == list(range(20))
    assert Counter(map(tuple, states_of(home).values())) == {
        ("Pending", "Running", "Completed"): 21
    }


def test_a_flow_that_is_ended_with_its_worker_running_leaves_no_task_behind(
    existing: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"

    @flow(task_runner=existing)
    def f() -> None:
        note_pid_and_wait.submit(str(mark))
        until(mark.exists)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        f()
    pid = int(mark.read_text())
    until(lambda: not executes(pid), 30)


def executes(pid: int) -> bool:
    """Say whether a Ray worker executes a task: its process is named after that."""
    lines = dict(command_lines())
    return "note_pid_and_wait" in lines.get(pid, "")


# -- cancelling --------------------------------------------------------------------------------------------


@task
def loop_until_stopped(path: str, noted: str) -> None:
    open(path, "w").close()
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        open(noted, "w").close()


@task
async def await_until_stopped(path: str, noted: str) -> None:
    import asyncio

    open(path, "w").close()
    try:
        await asyncio.sleep(120)
    finally:
        open(noted, "w").close()


@task
def sleep_deaf(path: str, noted: str) -> None:
    open(path, "w").close()
    time.sleep(120)


@pytest.mark.parametrize(
    ("endless", "cleans_up"),
    [(loop_until_stopped, True), (await_until_stopped, True), (sleep_deaf, False)],
    ids=["loop", "async", "deaf"],
)
def test_cancelling_stops_what_runs_and_drops_what_waits(
    existing: Any, tmp_path: Path, home: Path, endless: Any, cleans_up: bool
) -> None:
    marks = [(str(tmp_path / f"{i}-began"), str(tmp_path / f"{i}-cleaned")) for i in range(2)]

    @flow(task_runner=existing)
    def f() -> Any:
        running = [endless.submit(*pair) for pair in marks]
        identity.map(range(50))
        identity.submit(running[0])
        until(lambda: all(os.path.exists(began) for began, _ in marks))
        (run,) = cancellation.live.values()
        threading.Thread(target=cancellation.cancel, args=[run]).start()
        running[1].wait()

    began = time.monotonic()
    state = f(return_state=True)
    assert state.is_cancelled()
    assert time.monotonic() - began < 30
    history = states_of(home)
    assert len(history) == 53
    assert {states[-1] for states in history.values()} == {"Cancelled"}
    assert history[1] == history[2] == ["Pending", "Running", "Cancelled"]
    if cleans_up:
        until(lambda: all(os.path.exists(cleaned) for _, cleaned in marks))
    # Its CPUs are free again.
    assert RayTaskRunner is type(existing)
    assert quick(existing) == 1


def quick(runner: Any) -> int:
    @flow(task_runner=runner)
    def f() -> Any:
        with remote_options(num_cpus=2):
            return identity.submit(1).result()

    found: int = f()
    return found


def test_one_task_can_be_cancelled_alone(existing: Any, tmp_path: Path) -> None:
    pair = str(tmp_path / "began"), str(tmp_path / "cleaned")

    @flow(task_runner=existing)
    def f() -> Any:
        one, other = loop_until_stopped.submit(*pair), identity.submit(2)
        after = identity.submit(one)
        until(lambda: os.path.exists(pair[0]))
        (run,) = cancellation.live.values()
        run.cancel_task(one.task_run.no)
        return one.wait().name, other.wait().name, after.wait().name

    assert f() == ("Cancelled", "Completed", "NotReady")


# -- addresses -----------------------------------------------------------------------------------------------


class Script:
    """Runs scripts in processes of their own: a process can be connected to one Ray only."""

    def __init__(self) -> None:
        # Short: else instances are made in /tmp, because the names of sockets must be.
        self.folder = Path(tempfile.mkdtemp(prefix="f", dir="/tmp"))

    def start(self, script: str, **environment: str) -> subprocess.Popen[str]:
        file = self.folder / "the_script.py"
        file.write_text(textwrap.dedent(script))
        without = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        return subprocess.Popen(
            [sys.executable, str(file)],
            env={
                **without,
                "HOME": str(self.folder),
                "TMPDIR": str(self.folder),
                "FLOWDECK_HOME": str(self.folder / "home"),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, **environment: str) -> Any:
        """Return what the last line of its output says, as JSON."""
        process = self.start(script, **environment)
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1])

    @property
    def processes(self) -> list[str]:
        """What runs with the folder in its command line."""
        return [line for _, line in command_lines() if str(self.folder) in line]

    def reader(self) -> Reader:
        return Reader.open(self.folder / "home")


@pytest.fixture
def script() -> Iterator[Script]:
    import shutil

    script = Script()
    yield script
    shutil.rmtree(script.folder, ignore_errors=True)


CALL = """
import json, os, sys, time
from flowdeck import flow, task
from flowdeck.task_runners import RayTaskRunner

@flow(task_runner=RayTaskRunner(address={address!r}))
def f():
    raise AssertionError("never called")

began = time.monotonic()
try:
    f(return_state=True)
except Exception as error:
    print(json.dumps([f"{{type(error).__name__}}: {{error}}", time.monotonic() - began]))
"""


def refused(script: Script, address: str, **environment: str) -> str:
    """Return the error that a flow run on an address ends with; it must come within 15 seconds."""
    said, seconds = script.run(CALL.format(address=address), **environment)
    assert seconds < 15
    with script.reader() as reader:
        assert reader.resolve_run("@last").state == "Crashed"
    return str(said)


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_answers_is_told_at_once(
    script: Script, closed_port: int, scheme: str
) -> None:
    address = f"{scheme}127.0.0.1:{closed_port}"
    said = refused(script, address)
    assert said.startswith(f"ConnectionError: Cannot connect to Ray at {address}: ")
    assert "Connection refused" in said
    assert "ray start --head" in said


@pytest.mark.parametrize("scheme", ["", "ray://"])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_something_else_that_answers_is_told_within_seconds(
    script: Script, scheme: str, answer: bytes
) -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            server.settimeout(0.1)
            connections = []
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connections.append(connection)
                if answer:
                    try:
                        connection.sendall(answer)
                    except OSError:
                        pass  # it was only a knock
            for connection in connections:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            said = refused(script, f"{scheme}127.0.0.1:{server.getsockname()[1]}")
        finally:
            stop.set()
            thread.join()
    assert "is not Ray" in said or "no Ray answered within 8 seconds" in said


@pytest.mark.parametrize("address", ["http://my.example:1", "ray://nowhere", "1.2.3.4", "x:99999"])
def test_what_is_no_address_is_told_before_anything_is_tried(script: Script, address: str) -> None:
    assert "is no address of a Ray: write 'ray://HOST:10001'" in refused(script, address)


@pytest.mark.parametrize("token", [None, "0" * 64], ids=["without", "wrong"])
@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_a_missing_token_is_told_with_the_way_to_give_it(
    script: Script, head: RayHead, client: bool, token: str | None
) -> None:
    address = head.client_address if client else head.address
    given = {} if token is None else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    said = refused(script, address, **given)
    assert said.startswith(f"ConnectionError: Cannot connect to Ray at {address}: it refuses us")
    assert "RAY_AUTH_MODE=token" in said
    assert "RAY_AUTH_TOKEN_PATH" in said


@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_ports_that_were_mixed_up_are_told(script: Script, head: RayHead, client: bool) -> None:
    swapped = f"ray://{head.address}" if client else head.client_address.removeprefix("ray://")
    said = refused(script, swapped, **head.environment)
    assert "its default port is" in said


@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_another_version_of_ray_is_told(script: Script, head: RayHead, client: bool) -> None:
    address = head.client_address if client else head.address
    said, seconds = script.run(
        "import ray; ray.__version__ = '2.1.0'\n" + CALL.format(address=address),
        **head.environment,
    )
    assert seconds < 30
    assert said.startswith(f"ConnectionError: Cannot use Ray at {address}: its version or that of")
    assert "2.1.0" in said


def test_workers_without_flowdeck_are_told_before_anything_is_sent(
    script: Script, head: RayHead
) -> None:
    shadow = script.folder / "shadow" / "flowdeck"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'flowdeck'\")")
    variables = {"runtime_env": {"env_vars": {"PYTHONPATH": str(shadow.parent)}}}
    call = CALL.replace("{address!r}", "{address!r}, init_kwargs={variables!r}")
    said, _ = script.run(call.format(address=head.address, variables=variables), **head.environment)
    assert said.startswith("RuntimeError: The workers of the Ray at")
    assert "cannot import flowdeck. Install flowdeck" in said


# -- a Ray that goes away, a process that goes away --------------------------------------------------------


@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_a_ray_that_goes_away_crashes_what_it_had_and_the_flow_goes_on(
    script: Script, client: bool
) -> None:
    with RayHead() as doomed:
        address = doomed.client_address if client else doomed.address
        process = script.start(
            f"""
            import json, os, sys, time, warnings
            from flowdeck import flow, task
            from flowdeck.task_runners import RayTaskRunner, ray_pulse

            ray_pulse.PATIENCE = 2.0

            @task
            def endless():
                open({str(script.folder / "began")!r}, "w").close()
                time.sleep(200)

            @task
            def identity(x):
                return x

            @flow(task_runner=RayTaskRunner(address={address!r}))
            def f():
                from flowdeck.task_runners import ray_keeper
                running = endless.submit()
                waiting = identity.submit(running)
                states = [running.wait(), waiting.wait(), identity.submit(1).wait()]
                return [[state.name, state.message] for state in states]

            print(json.dumps(f()))
            """,
            **doomed.environment,
        )
        until((script.folder / "began").exists, 90)
        doomed.kill()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    running, waiting, late = json.loads(out.splitlines()[-1])
    assert running[0] == "Crashed"
    assert "NodeDiedError" in running[1] or "is gone: its head node" in running[1]
    assert waiting[0] == "NotReady"
    assert late[0] == "Crashed"
    assert f"The Ray at {address} is gone: its head node does not answer" in late[1]


TEMPORARY = """
import json, os, sys, time
from flowdeck import flow, task
from flowdeck.task_runners import RayTaskRunner

@task
def endless(path):
    open(path, "w").close()
    time.sleep(200)

@flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 1}))
def f(path):
    endless.submit(path).wait()

if __name__ == "__main__":
    f(os.environ["MARK"])
"""


@pytest.mark.parametrize(
    ("number", "code", "state"),
    [
        (signal.SIGINT, -signal.SIGINT, "Execution was aborted by an interrupt signal."),
        (signal.SIGTERM, -signal.SIGTERM, "Execution was aborted by a termination signal."),
        (signal.SIGKILL, -signal.SIGKILL, None),
    ],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_a_process_that_is_ended_takes_its_temporary_ray_with_it(
    script: Script, number: int, code: int, state: str | None
) -> None:
    mark = script.folder / "began"
    process = script.start(TEMPORARY, MARK=str(mark))
    until(lambda: mark.exists() or process.poll() is not None, 120)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    until(lambda: script.processes == [], 60)
    if state is not None:
        assert [path.name for path in script.folder.glob("fdray-*")] == []
        with script.reader() as reader:
            assert reader.resolve_run("@last").message == state
        assert "*** SIGTERM" not in err


def test_a_stop_while_ray_starts_is_heard(script: Script) -> None:
    process = script.start(TEMPORARY, MARK=str(script.folder / "began"))
    until(lambda: list(script.folder.glob("fdray-*")) or process.poll() is not None, 120)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    until(lambda: script.processes == [], 60)
    assert list(script.folder.glob("fdray-*")) == []
