"""The app as a user has it: in a terminal, over real runs in processes of their own."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminal import Terminal, needs_tmux

from flowdeck_store.reader import Reader
from flowdeck_store.records import FlowRunRecord

pytestmark = [needs_tmux, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

#: Goes on until a file appears.
GATED = '''
import time
from pathlib import Path

from flowdeck import flow, task


@task
def wait_for(gate: str) -> str:
    deadline = time.monotonic() + 120
    while not Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return "the gate is open"


@flow
def gated(gate: str) -> str:
    """Waits until a file is there."""
    return wait_for(gate)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with flows in it."""
    work = tmp_path / "work"
    work.mkdir()
    return work


@pytest.fixture
def opened(home: Path, folder: Path) -> Iterator[Callable[[], Terminal]]:
    """Open the app in a terminal; all of them are closed at the end."""
    terminals: list[Terminal] = []

    def open_one(size: tuple[int, int] = (100, 30)) -> Terminal:
        terminals.append(Terminal(home, folder, size))
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.close()


def newest(home: Path) -> FlowRunRecord:
    with Reader.open(home) as reader:
        return reader.runs(limit=1, roots=True)[0]


def ended(home: Path, seconds: float = 120.0) -> FlowRunRecord:
    """Wait until the newest run is over."""
    deadline = time.monotonic() + seconds
    while not (run := newest(home)).is_final:
        assert time.monotonic() < deadline, f"run {run.name} is still {run.state}"
        time.sleep(0.05)
    return run


def test_launch_watch_inspect_and_browse(
    opened: Callable[[], Terminal], home: Path, folder: Path
) -> None:
    shutil.copy(EXAMPLES / "stdlib_census.py", folder)
    app = opened()
    app.until(lambda shown: "census" in shown and "never run" in shown)

    # Launch the flow under the cursor from the dialog, with another value than the default.
    app.press("r")
    app.until("flowdeck run stdlib_census.py:census --detach")
    before = app.cursor()
    app.press("Tab")
    app.until(lambda shown: app.cursor() != before)
    app.type("60")
    app.until("-p limit=60 --detach")
    app.press("C-r")

    # The run's screen opens, and follows the run without any key.
    app.until(lambda shown: "Runs › census ›" in shown)
    app.until(lambda shown: "COMPLETED" in shown, 150)
    run = newest(home)
    assert run.params is not None
    assert '"limit":60' in run.params.replace(" ", "")
    assert run.name in app.screen()

    # The first failed task: its error, its frames, and below the source its local variables.
    app.press("f")
    app.until(lambda shown: "▌ ✗" in shown)
    app.press("Enter")
    shown = app.until(lambda shown: "Frames" in shown and "stdlib_census.py:" in shown)
    assert "SyntaxError" in shown
    app.press("Tab", "G")
    shown = app.until(lambda shown: re.search(r"name +str +", shown))
    assert "locals" in shown
    app.press("Escape")
    app.until("COMPLETED")

    # The history, filtered as it is typed.
    app.press("2")
    app.until(lambda shown: "Views" in shown and run.name in shown)
    app.press("/")
    app.type("state:failed")
    app.until(lambda shown: "Nothing matches" in shown)
    app.press("Escape")
    app.until(lambda shown: run.name in shown and "match" not in shown)
    app.press("q")
    deadline = time.monotonic() + 30
    while app.alive:
        assert time.monotonic() < deadline, app.screen()
        time.sleep(0.05)


def test_a_run_goes_on_when_the_app_is_closed_and_is_found_finished_later(
    opened: Callable[[], Terminal], home: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "gated.py").write_text(GATED)
    gate = tmp_path / "gate"
    app = opened()
    app.until(lambda shown: "gated" in shown and "never run" in shown)
    app.press("r")
    app.until("-p gate= --detach")
    app.type(str(gate))
    app.until(lambda shown: "gate --detach" in "".join(shown.split("\n")))
    app.press("C-r")
    app.until(lambda shown: "Runs › gated ›" in shown and "RUNNING" in shown)
    app.press("q")
    deadline = time.monotonic() + 30
    while app.alive:
        assert time.monotonic() < deadline, app.screen()
        time.sleep(0.05)

    left = newest(home)
    assert not left.is_final
    gate.touch()
    assert ended(home).state == "Completed"

    again = opened()
    shown = again.until(lambda shown: left.name in shown)
    assert "completed" in shown


@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=["80x24", "160x45"])
def test_the_app_opens_and_launches_at_other_sizes(
    opened: Callable[..., Terminal], home: Path, folder: Path, size: tuple[int, int], tmp_path: Path
) -> None:
    (folder / "gated.py").write_text(GATED)
    gate = tmp_path / "gate"
    gate.touch()
    app = opened(size)
    app.until(lambda shown: "gated" in shown and "never run" in shown)
    app.press("r")
    app.until("-p gate= --detach")
    app.type(str(gate))
    app.until(lambda shown: "gate --detach" in "".join(shown.split("\n")))
    app.press("C-r")
    app.until("COMPLETED")
    lines = app.screen().splitlines()
    assert len(lines) <= size[1]
    assert max(map(len, lines)) <= size[0]
