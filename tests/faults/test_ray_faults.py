"""What goes wrong on Ray: each run still ends in the right state, and says why."""

from __future__ import annotations

import json
import os
import platform
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clusters import (
    ANSWERS,
    Machine,
    closed_port,
    identity,
    impostor,
    machine,
    note_pid_and_wait,
    states_of,
    until,
)
from flowdeck import flow, task
from flowdeck.task_runners import RayTaskRunner
from flowdeck.task_runners.ray import remote_options
from ray_programs import RayHead, connected

ray = pytest.importorskip("ray")

if TYPE_CHECKING:
    from collections.abc import Iterator

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


# -- workers that die --------------------------------------------------------------------------------------


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


# -- addresses -----------------------------------------------------------------------------------------------


@pytest.fixture
def script() -> Iterator[Machine]:
    """Runs scripts in processes of their own: a process can be connected to one Ray only."""
    with machine() as there:
        yield there


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


def refused(script: Machine, address: str, **environment: str) -> str:
    """Return the error that a flow run on an address ends with; it must come within 15 seconds."""
    (said, seconds), _ = script.run(CALL.format(address=address), **environment)
    assert seconds < 15
    with script.reader() as reader:
        assert reader.resolve_run("@last").state == "Crashed"
    return str(said)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_answers_is_told_at_once(script: Machine, scheme: str) -> None:
    address = f"{scheme}127.0.0.1:{closed_port()}"
    said = refused(script, address)
    assert said.startswith(f"ConnectionError: Cannot connect to Ray at {address}: ")
    assert "Connection refused" in said
    assert "ray start --head" in said


@pytest.mark.parametrize("scheme", ["", "ray://"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_something_else_that_answers_is_told_within_seconds(
    script: Machine, scheme: str, answer: bytes
) -> None:
    with impostor(answer) as there:
        said = refused(script, f"{scheme}{there}")
    assert "is not Ray" in said or "no Ray answered within 8 seconds" in said


@pytest.mark.parametrize("address", ["http://my.example:1", "ray://nowhere", "1.2.3.4", "x:99999"])
def test_what_is_no_address_is_told_before_anything_is_tried(script: Machine, address: str) -> None:
    assert "is no address of a Ray: write 'ray://HOST:10001'" in refused(script, address)


@pytest.mark.parametrize("token", [None, "0" * 64], ids=["without", "wrong"])
@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_a_missing_token_is_told_with_the_way_to_give_it(
    script: Machine, head: RayHead, client: bool, token: str | None
) -> None:
    address = head.client_address if client else head.address
    given = {} if token is None else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    said = refused(script, address, **given)
    assert said.startswith(f"ConnectionError: Cannot connect to Ray at {address}: it refuses us")
    assert f"It wants {'another' if token else 'an'} authentication token" in said
    assert "RAY_AUTH_MODE=token" in said
    assert "RAY_AUTH_TOKEN_PATH" in said


@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_ports_that_were_mixed_up_are_told(script: Machine, head: RayHead, client: bool) -> None:
    swapped = f"ray://{head.address}" if client else head.client_address.removeprefix("ray://")
    said = refused(script, swapped, **head.environment)
    assert "its default port is" in said


@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_another_version_of_ray_is_told(script: Machine, head: RayHead, client: bool) -> None:
    address = head.client_address if client else head.address
    (said, seconds), err = script.run(
        "import ray; ray.__version__ = '2.1.0'\n" + CALL.format(address=address),
        **head.environment,
    )
    assert seconds < 15
    python = platform.python_version()
    assert said == (
        f"ConnectionError: Cannot use Ray at {address}: it runs Ray {ray.__version__} with Python "
        f"{python}, this process Ray 2.1.0 with Python {python}, and Ray needs both to be equal. "
        "Install the versions of the cluster here, or start it with those of here."
    )
    assert "Traceback" not in err


def test_workers_without_flowdeck_are_told_before_anything_is_sent(
    script: Machine, head: RayHead
) -> None:
    shadow = script.folder / "shadow" / "flowdeck"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'flowdeck'\")")
    variables = {"runtime_env": {"env_vars": {"PYTHONPATH": str(shadow.parent)}}}
    call = CALL.replace("{address!r}", "{address!r}, init_kwargs={variables!r}")
    (said, _), _ = script.run(
        call.format(address=head.address, variables=variables), **head.environment
    )
    assert said.startswith("RuntimeError: The workers of the Ray at")
    assert "cannot import flowdeck. Install flowdeck" in said


# -- a Ray that goes away, a process that goes away --------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("client", [False, True], ids=["native", "client"])
def test_a_ray_that_goes_away_crashes_what_it_had_and_the_flow_goes_on(
    script: Machine, client: bool
) -> None:
    with RayHead() as doomed:
        address = doomed.client_address if client else doomed.address
        process = script.start(
            f"""
            import json, os, sys, time, warnings
            from flowdeck import flow, task
            from flowdeck.task_runners import RayTaskRunner
            from flowdeck.task_runners._ray import health

            health.PATIENCE = 8.0  # a busy machine needs some

            @task
            def endless():
                open({str(script.folder / "began")!r}, "w").close()
                time.sleep(200)

            @task
            def identity(x):
                return x

            @flow(task_runner=RayTaskRunner(address={address!r}))
            def f():
                from flowdeck.task_runners._ray import connection_thread
                running = endless.submit()
                waiting = identity.submit(running)
                states = [running.wait(), waiting.wait(), identity.submit(1).wait()]
                return [[state.name, state.message] for state in states]

            print(json.dumps(f()))
            """,
            **doomed.environment,
        )
        began = script.folder / "began"
        until(lambda: began.exists() or process.poll() is not None, 90)
        assert began.exists(), process.communicate()
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
        pytest.param(
            signal.SIGTERM,
            -signal.SIGTERM,
            "Execution was aborted by a termination signal.",
            marks=pytest.mark.long,
        ),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, None, marks=pytest.mark.long),
    ],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_a_process_that_is_ended_takes_its_temporary_ray_with_it(
    script: Machine, number: int, code: int, state: str | None
) -> None:
    mark = script.folder / "began"
    process = script.start(TEMPORARY, MARK=str(mark))
    until(lambda: mark.exists() or process.poll() is not None, 120)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    # Ray's agents look for their node for another minute if nobody ends them.
    agents = ("ray::DashboardAgent", "ray::RuntimeEnvAgent") if state is None else ()
    until(lambda: [line for line in script.processes if not line.startswith(agents)] == [], 60)
    if state is not None:
        assert [path.name for path in script.temp.glob("fdray-*")] == []
        with script.reader() as reader:
            assert reader.resolve_run("@last").message == state
        assert "*** SIGTERM" not in err


def test_a_stop_while_ray_starts_is_heard(script: Machine) -> None:
    process = script.start(TEMPORARY, MARK=str(script.folder / "began"))
    until(lambda: list(script.temp.glob("fdray-*")) or process.poll() is not None, 120)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    until(lambda: script.processes == [], 60)
    assert list(script.temp.glob("fdray-*")) == []
