"""Launching: the run is recorded first, then started; what fails early is a recorded failure."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowdeck import settings
from flowdeck.exceptions import TargetError
from flowdeck.launch import process as launching
from flowdeck.launch.process import launch, log_tail, record_failed_import
from flowdeck.runs.launch_spec import LaunchSpec
from flowdeck.settings import get_settings
from flowdeck_store.read.reader import Reader
from flowdeck_store.upkeep.liveness import recover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowdeck.launch.process import Launched
    from flowdeck_store.read.records import FlowRunRecord


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    paths = [str(Path(__file__).parents[3] / part) for part in ("engine", "store", "app")]
    monkeypatch.setenv("PYTHONPATH", ":".join(paths))
    monkeypatch.setenv("FLOWDECK_CONFIG", os.devnull)
    monkeypatch.setenv("FLOWDECK_HOME", str(tmp_path / "home"))
    settings.reload()
    yield tmp_path / "home"
    monkeypatch.undo()
    settings.reload()


def write(text: str, name: str = "flows.py") -> None:
    Path(name).write_text(textwrap.dedent(text))


def finished(home: Path, launched: Launched) -> FlowRunRecord:
    """Wait for the process, then look as any reader would."""
    launched.process.wait(timeout=40)
    recover(home)
    with Reader.open(home) as reader:
        run = reader.run(launched.run_id)
    assert run is not None
    assert run.is_final
    return run


FLOW = """
    import os, sys
    from flowdeck import flow

    @flow
    def show(what: str, n: int = 1):
        '''Shows it.'''
        print("seen", what, n, os.getcwd(), os.isatty(0), os.environ.get("NO_COLOR"))
        print("argv", sys.argv)
"""


def test_a_launched_run_takes_the_recorded_one_over(home: Path) -> None:
    write(FLOW)
    launched = launch(
        LaunchSpec(
            target="flows.py:show",
            values={"what": "s3cret"},
            texts={"n": "7"},
            runner="sequential",
            name="my-run",
            tags=("b", "a"),
            rerun_of="0" * 32,
        ),
        get_settings(),
    )
    run = finished(home, launched)
    assert (run.uid, run.name, run.state) == (launched.uid, "my-run", "Completed")
    assert json.loads(run.params or "") == {"what": "s3cret", "n": 7}
    assert (run.runner, run.tags, run.rerun_of) == ("sequential", ("a", "b"), "0" * 32)
    assert run.pid == launched.pid
    path, tail = log_tail(home, launched.uid)
    assert path == launched.log
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"seen s3cret 7 {Path.cwd()} False 1" in tail
    assert not any("s3cret" in line for line in tail if line.startswith("argv"))
    with Reader.open(home) as reader:
        assert reader.states(run.id)[0].state == "Launching"
        assert len(reader.flows()) == 1


def test_a_run_can_be_launched_in_another_folder(home: Path, tmp_path: Path) -> None:
    write(FLOW)
    (tmp_path / "other").mkdir()
    target = f"{Path('flows.py').absolute()}:show"
    what = LaunchSpec(target=target, values={"what": "x"})
    launched = launch(what, get_settings(), cwd=tmp_path / "other")
    assert finished(home, launched).state == "Completed"
    assert f"seen x 1 {tmp_path / 'other'} False 1" in log_tail(home, launched.uid)[1]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.py:f", "There is no file nowhere.py."),
        ("flows.py", "has not exactly one flow"),
        ("broken.py:f", "broken.py:1: "),
    ],
)
def test_what_can_be_seen_before_is_refused_and_not_recorded(
    home: Path, target: str, message: str
) -> None:
    write(FLOW + "\n    @flow\n    def second(): ...\n")
    write("import flowdeck; def f(:\n", "broken.py")
    with pytest.raises(TargetError, match=message):
        launch(LaunchSpec(target=target), get_settings())
    with Reader.open(home) as reader:
        assert reader.runs() == []


def test_a_process_that_cannot_be_started_is_a_recorded_failure(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(FLOW)
    monkeypatch.setattr(launching.sys, "executable", "/no/such/python")
    with pytest.raises(OSError, match="/no/such/python"):
        launch(LaunchSpec(target="flows.py:show"), get_settings())
    with Reader.open(home) as reader:
        [run] = reader.runs()
    assert run.state == "Failed"
    assert "could not be started" in (run.message or "")
    assert "/no/such/python" in (run.message or "")


def test_a_process_that_dies_before_it_reports_leaves_a_crashed_run_and_its_last_words(
    home: Path,
) -> None:
    write("import flowdeck, os\nos.write(2, b'last words')\nos._exit(9)\n" + textwrap.dedent(FLOW))
    launched = launch(LaunchSpec(target="flows.py:show"), get_settings())
    run = finished(home, launched)
    assert run.state == "Crashed"
    assert str(launched.pid) in (run.message or "")
    assert log_tail(home, launched.uid)[1] == ["last words"]


def test_a_flow_that_fails_to_import_is_failed_with_its_traceback(home: Path) -> None:
    write("import nothing_x\n" + textwrap.dedent(FLOW))
    launched = launch(LaunchSpec(target="flows.py:show"), get_settings())
    run = finished(home, launched)
    assert run.state == "Failed"
    assert "No module named 'nothing_x'" in (run.message or "")
    with Reader.open(home) as reader:
        failure = reader.last_failure(run.id)
    assert failure is not None
    assert failure.exc_type == "ModuleNotFoundError"


def test_the_run_goes_on_when_its_launcher_is_gone(home: Path) -> None:
    write(
        """
        import pathlib, time
        from flowdeck import flow
        @flow
        def patient():
            deadline = time.monotonic() + 60
            while not pathlib.Path("go").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            pathlib.Path("gone").write_text("on")
        """
    )
    code = (
        "from flowdeck.launch.process import *; from flowdeck.settings import *;"
        "from flowdeck.runs.launch_spec import LaunchSpec;"
        "print(launch(LaunchSpec(target='flows.py:patient'), get_settings()).pid)"
    )
    import subprocess
    import sys

    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True
    )
    pid = int(out.stdout)
    assert os.getsid(pid) == pid
    Path("go").touch()
    deadline = time.monotonic() + 30
    while not _all_final(home):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert Path("gone").read_text() == "on"


def _all_final(home: Path) -> bool:
    with Reader.open(home) as reader:
        runs = reader.runs()
    return bool(runs) and all(run.is_final for run in runs)


def test_a_failed_import_without_a_launch_gets_a_run_of_its_own(home: Path) -> None:
    write(FLOW)
    error = ValueError("at import")
    run_id = record_failed_import(LaunchSpec(target="flows.py:show"), home, error)
    with Reader.open(home) as reader:
        run = reader.run(run_id)
    assert run is not None
    assert (run.flow, run.state) == ("show", "Failed")
    assert run.message == "The flow could not be imported. ValueError: at import"


def test_the_tail_of_a_log_is_bounded(home: Path) -> None:
    assert log_tail(home, "0" * 32)[1] == []
    folder = home / "launches"
    folder.mkdir(parents=True)
    (folder / f"{'0' * 32}.log").write_bytes(b"\n".join(b"line %d" % n for n in range(100_000)))
    tail = log_tail(home, "0" * 32)[1]
    assert tail[-1] == "line 99999"
    assert len(tail) == launching.TAIL_LINES


SLOW = """
    import os, time
    from pathlib import Path
    Path("importing").touch()
    while not Path("go on").exists():
        time.sleep(0.01)
    from flowdeck import flow

    @flow
    def slow():
        return 1
"""
LOOK = """
import sys; from pathlib import Path; from flowdeck_store.upkeep.liveness import recover
print(recover(Path(sys.argv[1])))
"""


def look_from(namespace: str, home: Path) -> None:
    command = [sys.executable, "-c", LOOK, str(home)]
    if namespace == "another pid namespace":
        unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no pid namespaces can be made here")
        command = [*unshare, *command]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("namespace", ["this one", "another pid namespace"])
def test_a_run_that_still_imports_is_alive_from_wherever_it_is_looked_at(
    home: Path, namespace: str
) -> None:
    write(SLOW)
    launched = launch(LaunchSpec(target="flows.py:slow"), get_settings())
    wait_for(Path("importing").exists)
    for _ in range(2):
        look_from(namespace, home)
        with Reader.open(home) as reader:
            run = reader.run(launched.run_id)
        assert run is not None
        assert (run.state, run.is_final) == ("Launching", False)
    Path("go on").touch()
    assert finished(home, launched).state == "Completed"
    with Reader.open(home) as reader:
        states = [state.state for state in reader.states(launched.run_id)]
    assert states == ["Launching", "Pending", "Running", "Completed"]


@pytest.mark.parametrize("namespace", ["this one", "another pid namespace"])
def test_a_run_that_died_while_it_imported_is_dead_from_wherever_it_is_looked_at(
    home: Path, namespace: str
) -> None:
    write(SLOW)
    launched = launch(LaunchSpec(target="flows.py:slow"), get_settings())
    wait_for(Path("importing").exists)
    launched.process.kill()
    launched.process.wait()
    look_from(namespace, home)
    with Reader.open(home) as reader:
        run = reader.run(launched.run_id)
    assert run is not None
    assert run.state == "Crashed"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
