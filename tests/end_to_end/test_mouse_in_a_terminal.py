"""The mouse as a terminal reports it: clicks, double clicks, the wheel, dragging, the clipboard."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Terminal, needs_tmux

from flowdeck_store.read.reader import Reader

pytestmark = [needs_tmux, pytest.mark.timeout(300)]

FLOWS = '''
from flowdeck import flow, get_run_logger, task


@task(task_run_name="part {n}")
def part(n: int) -> int:
    get_run_logger().info("part %d says hello", n)
    if n % 10 == 3:
        reason = f"part {n} is bad"
        raise ValueError(reason)
    return n


@flow(flow_run_name="many-parts")
def parts(count: int = 60, loud: bool = False) -> int:
    """Does its parts one by one."""
    states = [part(n, return_state=True) for n in range(count)]
    return sum(state.is_completed() for state in states)


@flow
def another() -> None:
    """Never run."""
'''


@pytest.fixture
def recorded(home: Path, folder: Path) -> None:
    """A run of sixty parts, six of which failed."""
    (folder / "parts.py").write_text(FLOWS)
    command = [sys.executable, "-P", "-m", "flowdeck_app", "run", "parts.py:parts", "--quiet"]
    subprocess.run(
        [*command, "--runner", "sequential"], cwd=folder, check=False, capture_output=True
    )
    with Reader.open(home) as reader:
        assert reader.runs(limit=1)[0].n_tasks == 60


def row_of(shown: str, text: str) -> int:
    """Return the line that a text is on."""
    return next(y for y, line in enumerate(shown.splitlines()) if text in line)


def cursor_on(text: str) -> Callable[[str], object]:
    """Whether the cursor's bar is on a row with a text."""
    return lambda shown: re.search(rf"▌[^\n]*{re.escape(text)}", shown)


@pytest.mark.usefixtures("recorded")
def test_rows_headings_tabs_chips_trail_and_footer_take_clicks(
    opened: Callable[..., Terminal],
) -> None:
    app = opened((100, 30))
    app.until("never run")
    app.click("another")
    app.until(cursor_on("another"))
    app.click("Flow  ")  # the heading: by name
    shown = app.until("Flow ▾")
    app.until(lambda now: row_of(now, "another") < row_of(now, "parts  "))
    app.click("Last run")
    app.until(lambda now: "Last run ▾" in now and row_of(now, "another") > row_of(now, "parts  "))

    app.click("many-parts", times=2)  # a double click opens
    shown = app.until(lambda now: "Runs › parts › many-parts" in now and "part 53" in now)
    app.click("✗ 6 ")  # the chip: only what failed
    app.until(lambda now: "6 of 60" in now and "completed" not in now)
    app.click("✗ 6 ")
    app.until(lambda now: "6 of 60" not in now and "completed" in now)

    app.click("Timeline")
    app.until(lambda now: "━" * 3 in now and "State" not in now)
    app.click("Tasks 60")
    shown = app.still("State")
    app.click((10, row_of(shown, "✗ part 13")))
    app.until(cursor_on("part 13"))
    app.click((10, row_of(app.still("✗ part 13"), "✗ part 13")), times=2)
    app.until(lambda now: "› part 13" in now and "ValueError: part 13 is bad" in now)

    app.click("? Help")
    app.until("Keys on a task run")
    app.press("Escape")
    app.until(lambda now: "Keys on" not in now)
    app.click("many-parts")  # in the trail
    app.until(lambda now: "› part 13" not in now and "Tasks 60" in now)
    app.click("Runs ›")
    app.until("Views")
    app.click(" Failed ")  # a view
    app.until("0 match")
    app.click("flowdeck")
    app.until("› Home")


@pytest.mark.usefixtures("recorded")
def test_the_wheel_scrolls_and_a_drag_selects_what_is_then_copied(
    opened: Callable[..., Terminal],
) -> None:
    app = opened((100, 30))
    app.until("never run")
    app.click("many-parts", times=2)
    app.click(app.place("Logs 249"))
    app.until("following")
    app.until(cursorless_end)
    app.wheel((40, 15), -12)
    shown = app.until(lambda now: "G follows" in now and "many" in now)
    above = last_part(shown)
    assert above < 59
    app.wheel((40, 15), -12)
    shown = app.until(lambda now: last_part(now) < above)
    # Every line of a task run says which, also those that only the wheel brought into view.
    shown = app.until(
        lambda now: (
            "says hello" in now and all(f"INFO  {name} " in line for line, name in spoken(now))
        )
    )

    line = next(line for line in shown.splitlines() if "says hello" in line)
    number = re.search(r"part (\d+) says hello", line)
    assert number is not None
    text = f"part {number[1]} says hello"
    x, y = app.place(text)
    app.drag((x, y), (x + len(text) - 1, y))
    app.press("C-c")
    app.until("Copied")
    assert app.clipboard() == text

    # Over several lines; y copies the selection too, and then, without one, the line of the cursor.
    app.drag((x, y), (x + 3, y + 2))
    app.press("y")
    app.until("Copied 3 lines")
    first, *_, last = app.clipboard().splitlines()
    assert first == text
    assert "INFO" in last or "ERROR" in last
    app.step("Escape")  # nothing is selected any more
    app.press("y")
    app.until("Copied the log line")
    assert "\n" not in app.clipboard()

    app.wheel((40, 15), 200)
    app.until(cursorless_end)
    app.press("G")
    app.until("following")


def spoken(shown: str) -> list[tuple[str, str]]:
    """Return the lines that tasks have logged, each with the name of its task run."""
    found = ((line, re.search(r"(part \d+) says", line)) for line in shown.splitlines())
    return [(line, match[1]) for line, match in found if match is not None]


def last_part(shown: str) -> int:
    found = re.findall(r"part (\d+) says hello", shown)
    return int(found[-1]) if found else -1


def cursorless_end(shown: str) -> bool:
    return "part 59 says hello" in shown


@pytest.mark.usefixtures("recorded")
def test_text_of_a_traceback_is_selected_and_copied(opened: Callable[..., Terminal]) -> None:
    app = opened((100, 30))
    app.until("f opens it")
    app.press("f")
    app.until("raise ValueError(reason)")
    x, y = app.place("raise ValueError(reason)")
    app.drag((x, y), (x + len("raise ValueError(reason)") - 1, y))
    app.press("C-c")
    app.until("Copied")
    assert app.clipboard() == "raise ValueError(reason)"
    app.click("States")
    app.until("running")
    app.click("Inputs", times=1)
    app.until(lambda now: re.search(r"n +\S* *3", now))


@pytest.mark.usefixtures("recorded")
def test_a_flow_is_launched_with_nothing_but_the_mouse_and_its_number_typed(
    opened: Callable[..., Terminal], home: Path
) -> None:
    app = opened((100, 30))
    app.until("never run")
    app.click("parts  ")
    app.until(cursor_on("parts  "))
    app.click("r Run")
    app.until("--detach")
    app.click(app.place("60  "))
    app.burst("\x01\x0b7")
    app.until("-p count=7")
    _, y = app.place("loud")
    shown = app.screen().splitlines()[y]
    app.click((shown.index("["), y))
    app.until("-p loud=true")
    app.click("( ) sequential")
    app.until("--runner sequential")
    app.wheel((50, 15), 3)  # over the form: harms nothing
    app.click("Cancel")
    app.until(lambda now: "--detach" not in now)
    app.click("r Run")
    app.until("--detach")
    app.click("Run  ctrl+r")
    app.until(lambda now: "Runs › parts ›" in now and "COMPLETED" in now)
    with Reader.open(home) as reader:
        assert len(reader.runs(limit=5)) == 2


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=["80x24", "160x45"])
def test_the_scrollbar_is_dragged(opened: Callable[..., Terminal], size: tuple[int, int]) -> None:
    app = opened(size)
    app.until("never run")
    app.press("2")
    app.until("Views")
    app.click("many-parts", times=2)
    app.until("Tasks 60")
    top = row_of(app.still("✗ part 3 "), "State ▾") + 1
    app.drag((size[0] - 1, top), (size[0] - 1, top + 9), grabbed=True)
    app.until(lambda now: "✗ part 3 " not in now and "✓ part 3" in now)
