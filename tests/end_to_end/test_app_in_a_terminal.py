"""The app as a user has it: in a terminal, over real runs in processes of their own."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Terminal, figures, needs_tmux

from flowdeck_store.read.reader import Reader
from flowdeck_store.read.records import FlowRunRecord
from flowdeck_store.states import BUCKETS

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


#: What must be pressed to get from the runner in the census's code to another one, key by key.
WAY: dict[str, tuple[tuple[str, str], ...]] = {
    "sequential": (("Up", "--runner sequential --detach"),),
    "concurrent": (("Up", "--runner sequential --detach"), ("Down", "limit=40 --detach")),
    "process": (("Down", "--runner process --detach"),),
    "dask": (("Down", "--runner process --detach"), ("Down", "--runner dask --detach")),
    "ray": (
        ("Down", "--runner process --detach"),
        ("Down", "--runner dask --detach"),
        ("Down", "--runner ray --detach"),
    ),
}


def as_one_line(shown: str) -> str:
    """Return what is in the dialog as one line, as if nothing had been wrapped."""
    return " ".join(re.findall(r"│  ([^\s│].*?)\s*│", shown))


def stem(name: str) -> str:
    """Return what is left of a run's name in a narrow column."""
    return name[:5]


def choose_runner(app: Terminal, runner: str) -> None:
    """Go from the second field on to the runners, and choose one with the arrows."""
    for _ in range(3):
        app.step("Tab")
    for key, command in WAY[runner]:
        app.press(key)
        app.until(lambda shown, wanted=command: wanted in as_one_line(shown))


def launch_and_watch(app: Terminal, home: Path, runner: str) -> FlowRunRecord:
    """Launch a small census from Home, and follow it to its end without touching a key."""
    app.press("r")
    app.until(lambda shown: "census --detach" in as_one_line(shown))
    app.step("Tab")
    app.type("40")
    app.until(lambda shown: "-p limit=40 --detach" in as_one_line(shown))
    choose_runner(app, runner)
    app.press("C-r")
    app.until("Runs › census ›")
    seen = [(0, 0)]
    deadline = time.monotonic() + 150
    while "COMPLETED" not in (shown := app.screen()):
        assert time.monotonic() < deadline, shown
        now = figures(shown)
        if now is not None and now != seen[-1]:
            seen.append(now)
    assert len(seen) > 2, f"the figures did not change: {seen}"
    assert seen == sorted(seen)
    run = newest(home)
    assert (run.runner, run.state) == (runner, "Completed")
    assert '"limit":40' in (run.params or "").replace(" ", "")
    failed = sum(run.counts[BUCKETS.index(bucket)] for bucket in ("failed", "crashed"))
    assert failed > 0
    app.until(f"✗ {failed} ")
    return run


@pytest.mark.parametrize(
    ("size", "runners"),
    [
        ((80, 24), ("sequential", "process")),
        ((100, 30), ("concurrent", "dask")),
        ((160, 45), ("sequential", "ray")),
    ],
    ids=["80x24", "100x30", "160x45"],
)
def test_launch_watch_inspect_filter_and_compare(
    opened: Callable[..., Terminal],
    home: Path,
    folder: Path,
    size: tuple[int, int],
    runners: tuple[str, str],
) -> None:
    shutil.copy(EXAMPLES / "stdlib_census.py", folder)
    app = opened(size)
    app.until(lambda shown: "census" in shown and "never run" in shown)
    runs = []
    for runner in runners:
        runs.append(launch_and_watch(app, home, runner))
        if len(runs) == 1:
            app.press("1")
            app.until(lambda shown: "› Home" in shown and "✓ completed" in shown)
            app.until("▌  census")  # the cursor stays with its flow, wherever that stands now

    # The first failed task: its error, its frames, and below the source its local variables.
    app.press("f")
    app.until(lambda shown: re.search("▌ ✗ .* failed ", shown))
    app.press("Enter")
    shown = app.until(lambda shown: "Frames" in shown and "stdlib_census.py:" in shown)
    assert "SyntaxError" in shown
    app.press("Tab")
    app.press("G")
    shown = app.until(lambda shown: re.search(r"name +str +'", shown))
    assert "locals" in shown
    app.press("Escape")
    app.until("COMPLETED")

    # The history: both runs, then what the query language lets through, then both again.
    app.press("2")
    app.until(lambda shown: "Views" in shown and all(stem(run.name) in shown for run in runs))
    app.press("/")
    app.until("f1 Help")  # letters are text now
    app.type(f"runner:{runners[1]} state:completed")
    shown = app.until("1 match")
    assert stem(runs[1].name) in shown
    app.press("Escape")
    app.until(lambda shown: "match" not in shown and all(stem(run.name) in shown for run in runs))

    # Two marks, compared: the runner is what differs.
    app.press("g")
    for count in (1, 2):
        app.press("Space")  # marks and goes on to the next row
        app.until(lambda shown, marks=count: shown.count("•") == marks)
    app.press("=")
    shown = app.until(lambda shown: re.search(r"≠ Runner +\w+ +\w+", shown))
    assert all(run.name in shown for run in runs)
    lines = shown.splitlines()
    assert len(lines) <= size[1]
    assert max(map(len, lines)) <= size[0]
    left(app)


def left(app: Terminal) -> None:
    """Leave the app with its key."""
    app.press("q")
    deadline = time.monotonic() + 30
    while app.alive:
        assert time.monotonic() < deadline, app.screen()
        time.sleep(0.05)


def test_a_run_goes_on_when_the_app_is_closed_and_is_found_finished_later(
    opened: Callable[..., Terminal], home: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "gated.py").write_text(GATED)
    gate = tmp_path / "gate"
    app = opened()
    app.until(lambda shown: "gated" in shown and "never run" in shown)
    app.press("r")
    app.until("-p gate= --detach")
    app.type(str(gate))
    app.until(lambda shown: "gate --detach" in as_one_line(shown))
    app.press("C-r")
    app.until(lambda shown: "Runs › gated ›" in shown and "RUNNING" in shown)
    left(app)

    run = newest(home)
    assert not run.is_final
    gate.touch()
    assert ended(home).state == "Completed"

    again = opened()
    again.until(lambda shown: stem(run.name) in shown and "✓ completed" in shown)
    again.press("Enter")
    again.until(lambda shown: run.name in shown and "COMPLETED" in shown)


def test_the_app_has_the_terminals_size_whatever_the_environment_says(
    opened: Callable[..., Terminal],
) -> None:
    app = opened((100, 30), {"COLUMNS": "80", "LINES": "24"})
    app.until(lambda shown: len(shown.splitlines()[0]) > 90)
    app.resize((120, 36))
    app.until(lambda shown: len(shown.splitlines()[0]) > 110)


def test_keys_that_come_in_one_burst_act_in_the_order_typed(
    opened: Callable[..., Terminal], folder: Path
) -> None:
    (folder / "gated.py").write_text(GATED)
    app = opened()
    app.until("never run")
    app.burst("/orld\x01hello w\x05!")  # ctrl+a, ctrl+e
    app.until("/ hello world!")
    app.burst("\x01\x0bgat\r")  # ctrl+a, ctrl+k, enter
    app.until(lambda shown: re.search(r"/ gat\s", shown) and "▌  gated" in shown)
    app.press("r")
    app.until("-p gate= --detach")
    app.burst("late\x01early \x05 end\x01\x0bonly this")
    app.until(lambda shown: "only this" in as_one_line(shown))
    assert "early" not in app.screen()
