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

from flowdeck_app.cli.display import Frame, Prints
from flowdeck_app.text.look import Look
from flowdeck_app.text.progress import progress
from flowdeck_store import states as st
from flowdeck_store.reader import Reader

if TYPE_CHECKING:
    from cli_builder import Record, Shell

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal of 100 x 30 cells."""

    def __init__(self, shell: Shell, *args: str, stdout: Any = None) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        env = {**os.environ, **shell.env, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            shell.command(*args), stdin=slave, stdout=stdout or slave, stderr=slave, env=env
        )
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
        assert "Created task run" in terminal.text
        Path("go").touch()
        assert terminal.end() == 1
        assert "ValueError: one is bad" in terminal.text
        tail = terminal.text.rpartition("ValueError: one is bad")[2]
        assert "✗ Failed  brave-otter  slow  #1" in tail
        assert "✓ 2 completed  ✗ 1 failed" in tail
        assert "flowdeck task 1.2 shows the traceback" in tail
        assert terminal.output.rstrip().endswith(b"variables")
        assert terminal.output.count(b"\x1b[?25l") == terminal.output.count(b"\x1b[?25h") == 1


def test_thousands_of_prints_all_arrive_and_cause_few_redraws(shell: Shell, home: Path) -> None:
    write("slow.py", SLOW)
    Path("go").touch()
    started = time.monotonic()
    with Terminal(shell, "run", "slow.py", "-p", "lines=5000") as terminal:
        terminal.end()
        seconds = time.monotonic() - started
        printed = [line for line in terminal.text.splitlines() if line.startswith("line ")]
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
    look = Look(now_us=T0 + 61_000_000, width=60, ascii=True)
    assert progress(run, [], [], look) == ["> Running  brave-otter  etl  #1  1m 00s"]


def test_prints_wait_for_the_next_picture_and_know_their_terminal() -> None:
    parts: collections.deque[str] = collections.deque()
    prints = Prints(sys.__stdout__ or sys.stdout, parts)
    print("a", "b", file=prints)
    print("half", end="", file=prints, flush=True)
    assert "".join(parts) == "a b\nhalf"
    assert prints.isatty()
    assert prints.encoding
    assert prints.buffer is (sys.__stdout__ or sys.stdout).buffer
    with pytest.raises(TypeError):
        prints.write(b"bytes")  # type: ignore[arg-type]


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
