"""Looking at a flow in a child process: the form, and files that misbehave at import."""

from __future__ import annotations

import sys
import textwrap
import time
from pathlib import Path

import pytest

from flowdeck.launch.inspection import Inspection, inspect_target


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [str(Path(__file__).parents[3] / part) for part in ("engine", "store", "app")]
    monkeypatch.setenv("PYTHONPATH", ":".join(paths))


def look(text: str, target: str = "form.py:load", seconds: float = 30) -> Inspection:
    Path("form.py").write_text(textwrap.dedent(text))
    return inspect_target(target, seconds=seconds)


def test_the_form_of_a_flow_is_reported() -> None:
    found = look(
        '''
        import datetime
        from flowdeck import flow
        from flowdeck.task_runners import ConcurrentTaskRunner

        @flow(name="daily load", task_runner=ConcurrentTaskRunner(max_workers=3))
        async def load(since: datetime.date, limit: int = 5, mode: str = "full"):
            """Load it."""
        '''
    )
    assert found.ok, found.error
    assert (found.name, found.doc, found.is_async) == ("daily load", "Load it.", True)
    assert found.source is not None
    assert found.source.startswith(str(Path("form.py").absolute()))
    assert (found.runner, found.runner_options) == (
        "concurrent",
        {"max_workers": "3", "resources": "{}"},
    )
    assert [(p["name"], p["required"]) for p in found.parameters] == [
        ("since", True),
        ("limit", False),
        ("mode", False),
    ]
    assert found.parameters[1]["default_json"] == "5"
    runners = {runner.name: runner for runner in found.runners}
    assert list(runners) == ["sequential", "concurrent", "process", "dask", "ray"]
    assert runners["concurrent"].installed
    assert "max_workers" in [option["name"] for option in runners["concurrent"].options]
    assert "form" not in sys.modules


def test_what_the_file_prints_does_not_disturb_the_answer() -> None:
    found = look(
        """
        import os, subprocess, sys
        from flowdeck import flow
        print("{not json")
        os.write(1, b"raw")
        subprocess.run(["echo", "child"])
        sys.stdout.close()
        @flow
        def load(): ...
        """
    )
    assert found.ok, found.error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "There is no flow 'load' in form.py"),
        ("def load(): ...\n", "is a bare function, not a flow"),
        ("def load(:\n", "form.py:1: invalid syntax"),
    ],
)
def test_what_is_no_flow_is_said_in_a_sentence(text: str, message: str) -> None:
    found = look(text)
    assert not found.ok
    assert message in (found.error or "")
    assert found.traceback is None


def test_an_import_error_comes_with_its_traceback() -> None:
    found = look("import nothing_of_that_name\n")
    assert "cannot be imported: ModuleNotFoundError" in (found.error or "")
    assert 'form.py", line 1' in (found.traceback or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import os; os.write(2, b'last words'); os._exit(7)",
            "ended its process with exit code 7",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "ended its process by signal 9",
        ),
    ],
)
def test_a_file_that_ends_its_process_is_survived(text: str, message: str) -> None:
    found = look(text)
    assert message in (found.error or "")
    if "exit code" in message:
        assert found.traceback == "last words"


def test_a_file_that_never_ends_is_killed_with_what_it_started() -> None:
    marker = Path("pid")
    started = time.monotonic()
    found = look(
        f"""
        import os, pathlib, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path({str(marker)!r}).write_text(str(child.pid))
        time.sleep(600)
        """,
        seconds=3,
    )
    assert "took more than 3 s" in (found.error or "")
    assert time.monotonic() - started < 30
    pid = int(marker.read_text())
    deadline = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_thread_left_running_at_import_does_not_delay_the_answer() -> None:
    found = look(
        """
        import threading, time
        from flowdeck import flow
        threading.Thread(target=time.sleep, args=(600,)).start()
        @flow
        def load(): ...
        """
    )
    assert found.ok, found.error
