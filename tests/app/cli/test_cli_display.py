"""The live display: what it draws, how often, and what happens to prints meanwhile."""

from __future__ import annotations

import collections
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from cli_builder import T0, until, write
from rich.console import Console

from flowdeck.output.whole_lines import Lines
from flowdeck_app.cli.display import Children, Frame, Prints
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.reports.progress import progress
from flowdeck_store import states as st
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from cli_builder import Record, Shell

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _lead_session() -> None:
    """Make the terminal the process's own, as a login does: it is told when that goes."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command on a terminal of 100 x 30 cells."""

    def __init__(self, shell: Shell, *args: str, stdout: Any = None, session: bool = False) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        env = {**os.environ, **shell.env, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            shell.command(*args), stdin=slave, stdout=stdout or slave, stderr=slave, env=env,
            preexec_fn=_lead_session if session else None,
        )  # fmt: skip
        os.close(slave)
        self.output = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    @property
    def text(self) -> str:
        """Everything that was written, without colours and cursor movements."""
        return ANSI.sub("", self.output.decode(errors="replace"))

    def read(self, seconds: float = 0.05) -> bool:
        """Read what is there; false when the command has closed the terminal."""
        if select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:  # the other side was closed
                return False
            self.output += data
            return bool(data)
        return True

    def see(self, text: str, seconds: float = 50) -> None:
        """Read until a text was written."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert self.read(), f"ended without {text!r}: {self.text[-2000:]}"
            assert time.monotonic() < deadline, f"no {text!r} in {self.text[-2000:]}"

    def end(self, seconds: float = 50) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < deadline, self.text[-2000:]
        return self.process.wait(timeout=5)


SLOW = """
    import pathlib, time
    from flowdeck import flow, task

    @task
    def work(x):
        print("printed", x)
        deadline = time.monotonic() + 60
        while not pathlib.Path("go").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if x == 1:
            raise ValueError("one is bad")

    @flow
    def slow(lines: int = 0):
        for line in range(lines):
            print("line", line)
        for x in range(3):
            work.submit(x)
"""


def test_a_run_is_shown_live_with_its_prints_above(shell: Shell, home: Path) -> None:
    write("slow.py", SLOW)
    with Terminal(shell, "run", "slow.py", "--name", "brave-otter") as terminal:
        terminal.see("printed 2")
        terminal.see("0/3  0%")
        terminal.see("▸ 3")
        assert "▸ Running  brave-otter  slow  #1" in terminal.text
        assert "work-" in terminal.text
        terminal.see("| INFO    |")  # which of the last lines a picture catches is chance
        Path("go").touch()
        assert terminal.end() == 1
        shown, _, tail = terminal.text.rpartition("✗ Failed  brave-otter  slow  #1")
        assert "ValueError: one is bad" in shown
        assert "  work-1 ValueError: one is bad" in tail
        assert "✓ 2 completed  ✗ 1 failed" in tail
        assert "flowdeck task 1.2 shows the traceback" in tail
        assert terminal.output.rstrip().endswith(b"variables")
        assert terminal.output.count(b"\x1b[?25l") == terminal.output.count(b"\x1b[?25h") == 1


def _left_standing(output: bytes) -> list[str]:
    """Return what stands on a terminal in the end: pictures are wiped out, and with them lines whose
    ends had not come when they were drawn."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", output.decode()):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b"):
            row -= int(part[2:-1] or 1) if part.endswith("A") else 0
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return lines


def test_thousands_of_prints_all_arrive_and_cause_few_redraws(shell: Shell, home: Path) -> None:
    write("slow.py", SLOW)
    Path("go").touch()
    started = time.monotonic()
    with Terminal(shell, "run", "slow.py", "-p", "lines=5000") as terminal:
        terminal.end()
        seconds = time.monotonic() - started
        printed = [x for x in _left_standing(terminal.output) if x.startswith("line ")]
        assert printed == [f"line {n}" for n in range(5000)]
        assert terminal.text.count("Running  ") < 25 * seconds + 10


def test_stdout_in_a_pipe_gets_the_prints_while_the_display_is_on_the_terminal(
    shell: Shell, home: Path
) -> None:
    write("slow.py", SLOW)
    Path("go").touch()
    with (
        Path("out.txt").open("w") as out,
        Terminal(shell, "run", "slow.py", "-p", "lines=3", stdout=out) as terminal,
    ):
        assert terminal.end() == 1
        assert "✗ Failed" in terminal.text
        assert "line 0" not in terminal.text
    assert sorted(Path("out.txt").read_text().splitlines()) == sorted(
        ["line 0", "line 1", "line 2", "printed 0", "printed 1", "printed 2"]
    )


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_on_a_terminal_cancels_and_a_second_one_kills(
    shell: Shell, home: Path, times: int
) -> None:
    write("slow.py", SLOW)
    with Terminal(shell, "run", "slow.py") as terminal:
        terminal.see("▸ 3")
        for _ in range(times):
            terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        if times == 1:
            assert "Cancelling: press Ctrl-C again to kill." in terminal.text
            assert "⊘ Cancelled" in terminal.text
        assert "Traceback" not in terminal.text
    with Reader.open(home) as reader:
        until(lambda: all(run.is_final for run in reader.runs()))


def test_watch_draws_a_run_of_another_process_until_it_ends(
    shell: Shell, home: Path, record: Record
) -> None:
    uid = record.run("far-away", code=st.RUNNING)
    record.task(uid, 1, "fetch-0", code=st.RUNNING)
    record.log(uid, 1, "a line of the log")
    with Terminal(shell, "watch", "@last") as terminal:
        terminal.see("▸ Running  far-away  etl  #1")
        terminal.see("a line of the log")
        record.task(uid, 2, "fetch-1", code=st.COMPLETED)
        terminal.see("1/2  50%")
        record.state(uid, 0, st.FAILED, us=T0 + 9_000_000, message="so it ended")
        assert terminal.end() == 1
        assert "so it ended" in terminal.text
        assert "1/2" not in terminal.output.decode().rpartition("so it ended")[2]


def test_watch_ends_with_ctrl_c_and_the_run_goes_on(
    shell: Shell, home: Path, record: Record
) -> None:
    record.run("far-away", code=st.RUNNING)
    with Terminal(shell, "watch", "@last") as terminal:
        terminal.see("far-away")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert terminal.output.count(b"\x1b[?25l") == terminal.output.count(b"\x1b[?25h")
    with Reader.open(home) as reader:
        assert reader.runs()[0].state == "Running"


def test_hostile_names_do_not_break_the_display(record: Record) -> None:
    evil = "[red]x[/nope]\x1b[2J" + "🦦" * 10 + "n" * 10_000
    uid = record.run(evil, flow=evil, code=st.RUNNING)
    record.task(uid, 1, evil, code=st.RUNNING)
    record.log(uid, 1, evil + "\nsecond line\x07")
    file = io.StringIO()
    console = Console(file=file, width=80, height=24, force_terminal=True, no_color=True)
    with Reader.open(record.home) as reader:
        run = reader.run_by_uid(uid)
        assert run is not None
        console.print(Frame(reader, run).draw(run, console))
    text = file.getvalue()
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert "[red]x[/nope]\\x1b" in text
    assert len(text.splitlines()) == 5


def test_a_small_terminal_gets_as_many_lines_as_it_has(record: Record) -> None:
    uid = record.run(code=st.RUNNING)
    for no in range(1, 9):
        record.task(uid, no, f"fetch-{no}", code=st.RUNNING)
        record.log(uid, no, "words")
    file = io.StringIO()
    console = Console(file=file, width=30, height=5, force_terminal=True, no_color=True)
    with Reader.open(record.home) as reader:
        run = reader.run_by_uid(uid)
        assert run is not None
        console.print(Frame(reader, run).draw(run, console))
    lines = ANSI.sub("", file.getvalue()).splitlines()
    assert len(lines) == 4
    assert all(len(line) <= 30 for line in lines)


def test_progress_is_plain_text_for_plain_looks(record: Record) -> None:
    uid = record.run(code=st.RUNNING)
    with Reader.open(record.home) as reader:
        run = reader.run_by_uid(uid)
    assert run is not None
    look = Look(now_us=T0 + 61_000_000, width=60, symbols=ASCII)
    assert progress(run, [], None, [], look) == ["> Running  brave-otter  etl  #1  1m 00s"]


def test_prints_wait_for_the_next_picture_and_know_their_terminal() -> None:
    parts: collections.deque[str] = collections.deque()
    children = Children()
    prints = Prints(sys.__stdout__ or sys.stdout, lines := Lines(parts.append), children)
    print("a", "b", file=prints)
    print("half", end="", file=prints, flush=True)
    assert "".join(parts) == "a b\n"
    assert lines.halves() == ["half"]
    assert prints.isatty()
    assert prints.encoding
    assert prints.buffer is (sys.__stdout__ or sys.stdout).buffer
    with pytest.raises(TypeError):
        prints.write(b"bytes")  # type: ignore[arg-type]
    children.close()


#: Tasks that print a line in turns: none writes a piece before all have written the one before.
IN_TURNS = """
    import os, sys, threading
    from flowdeck import flow, task

    barrier = threading.Barrier(3)

    class Slow:
        def __init__(self, text):
            self.text = text
        def __str__(self):
            barrier.wait(30)
            return str(self.text)

    @task
    def work(x):
        print("printed", Slow(x), Slow("whole"))

    @flow
    def turns():
        work.map(range(3))
"""
EXPECTED = ["printed 0 whole", "printed 1 whole", "printed 2 whole"]
#: Streams that write each piece at once, as containers like to have them.
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


def test_tasks_that_print_at_the_same_time_print_whole_lines_on_the_terminal(
    shell: Shell, home: Path
) -> None:
    write("turns.py", IN_TURNS)
    with Terminal(shell, "run", "turns.py") as terminal:
        assert terminal.end() == 0
    printed = [line for line in terminal.text.splitlines() if "printed" in line]
    assert sorted(printed) == EXPECTED


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--json",)])
def test_tasks_that_print_at_the_same_time_print_whole_lines_into_pipes(
    shell: Shell, home: Path, options: tuple[str, ...]
) -> None:
    write("turns.py", IN_TURNS)
    done = shell("run", "turns.py", *options, env=UNBUFFERED)
    assert done.returncode == 0
    lines = (done.stderr if options == ("--json",) else done.stdout).splitlines()
    assert sorted(line for line in lines if "printed" in line) == EXPECTED


def test_whole_lines_reach_stdout_in_a_file_while_the_display_is_on_the_terminal(
    shell: Shell, home: Path
) -> None:
    write("turns.py", IN_TURNS)
    shell.env |= UNBUFFERED
    with (
        Path("out.txt").open("w") as out,
        Terminal(shell, "run", "turns.py", stdout=out) as terminal,
    ):
        assert terminal.end() == 0
    assert sorted(Path("out.txt").read_text().splitlines()) == EXPECTED


def test_whole_lines_reach_the_log_of_a_detached_run(shell: Shell, home: Path) -> None:
    write("turns.py", IN_TURNS)
    assert shell("run", "turns.py", "--detach").returncode == 0
    assert shell("wait", "@last").returncode == 0
    (log,) = home.rglob("launches/*.log")
    printed = [line for line in log.read_text().splitlines() if "printed" in line]
    assert sorted(printed) == EXPECTED


FORKS = """
    import multiprocessing
    from flowdeck import flow, task

    def child(number):
        print("child", number, "x" * (50_000 if number == 2 else 1))

    @task
    def work():
        print("parent", end=" ")
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(child, range(4), chunksize=1)
        process = multiprocessing.get_context("fork").Process(target=print, args=("last",))
        process.start()
        process.join()
        print("prints")

    @flow
    def forks():
        work.submit()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_prints_of_forked_children_stand_above_the_picture(shell: Shell, home: Path) -> None:
    write("forks.py", FORKS)
    with Terminal(shell, "run", "forks.py") as terminal:
        assert terminal.end() == 0
    lines = terminal.text.splitlines()
    for expected in ("child 0 x", "child 1 x", "child 3 x", "last", "parent prints"):
        assert lines.count(expected) == 1, expected
    assert sum(line.count("xxxx") for line in lines) == 50_000 // 4


DOTS = """
    import pathlib, time
    from flowdeck import flow

    @flow
    def dots():
        for part in ("begun", ".", "."):
            print(part, end="")
        deadline = time.monotonic() + 60
        while not pathlib.Path("go").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        print(" done")
"""


def test_progress_in_a_line_without_an_end_is_seen_while_it_goes_on(
    shell: Shell, home: Path
) -> None:
    write("dots.py", DOTS)
    with Terminal(shell, "run", "dots.py") as terminal:
        terminal.see("begun..")
        Path("go").touch()
        assert terminal.end() == 0
        assert "begun.. done" in [line.strip() for line in terminal.text.splitlines()]
    Path("go").unlink()
    shell.env |= UNBUFFERED
    out = Path("out.txt")
    with out.open("w") as file:
        process = shell.start("run", "dots.py", stdout=file)
        until(lambda: out.read_text() == "begun..")
        Path("go").touch()
        assert process.wait(timeout=50) == 0
    assert out.read_text() == "begun.. done\n"


def test_a_display_without_a_record_disturbs_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from flowdeck_app.cli.display import BackgroundDisplay

    home.mkdir()
    (home / "flowdeck.db").write_bytes(b"no database " * 1000)
    with BackgroundDisplay(home, "0" * 32):
        print("printed meanwhile")
    captured = capsys.readouterr()
    assert "printed meanwhile" in captured.out + captured.err
