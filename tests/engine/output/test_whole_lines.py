"""Pieces of prints, written by threads in turns on purpose, arrive as whole lines."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck.output import whole_lines
from flowdeck.output.whole_lines import Lines, WholeLines, kept_whole
from flowdeck.threads import active

if TYPE_CHECKING:
    from collections.abc import Callable


class Slow:
    """Its text is asked for in the midst of a print, and there the other threads get their turn."""

    def __init__(self, text: str, barrier: threading.Barrier) -> None:
        self.text, self.barrier = text, barrier

    def __str__(self) -> str:
        self.barrier.wait(20)
        return self.text


def print_in_turns(threads: int, say: Callable[..., None]) -> list[str]:
    """Have each thread print two lines, each piece when all have written the one before."""
    barrier = threading.Barrier(threads)

    def work(number: int) -> None:
        for line in range(2):
            say("printed", Slow(f"by {number}", barrier), Slow(f"line {line}", barrier))

    workers = [threading.Thread(target=work, args=[number]) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    return [f"printed by {number} line {line}" for number in range(threads) for line in range(2)]


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def test_pieces_of_threads_become_lines_and_each_thread_keeps_its_order() -> None:
    put: list[str] = []
    stream = WholeLines(sys.__stdout__ or sys.stdout, Lines(put.append))
    expected = print_in_turns(3, lambda *values: print(*values, file=stream))
    printed = "".join(put).splitlines()
    assert sorted(printed) == expected
    for number in range(3):
        own = [line for line in printed if f"by {number}" in line]
        assert own == sorted(own)


def test_task_runs_that_share_a_thread_do_not_share_a_line() -> None:
    put: list[str] = []
    lines = Lines(put.append)
    first: Any = object()
    second: Any = object()
    for text in ("printed ", "x\n"):
        for run in (first, second):
            token = active.current_task_run.set(run)
            lines.write(text)
            active.current_task_run.reset(token)
    assert put == ["printed x\n", "printed x\n"]


def test_a_line_without_an_end_is_put_at_flush_and_at_the_end() -> None:
    put: list[str] = []
    lines = Lines(put.append)
    lines.write("two\nhalf")
    assert put == ["two\n"]
    assert lines.halves() == ["half"]
    lines.flush()
    assert put == ["two\n", "half"]
    other = threading.Thread(target=lines.write, args=["of another"])
    other.start()
    other.join()
    lines.flush()
    assert put == ["two\n", "half"]  # it is not this thread's to cut
    lines.end()
    assert put == ["two\n", "half", "of another"]
    assert not lines


def test_progress_without_ends_is_put_soon_and_half_a_print_waits_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(whole_lines.clock, "monotonic", lambda: now)
    put: list[str] = []
    stream = WholeLines(sys.__stdout__ or sys.stdout, lines := Lines(put.append))
    print(".", end="", file=stream)
    other = threading.Thread(target=stream.write, args=["half of a print"])
    other.start()
    other.join()
    lines.age()
    assert put == []
    now += 0.11
    lines.age()
    assert put == ["."]
    now += 0.5
    lines.age()
    assert put == [".", "half of a print"]


def test_an_endless_line_takes_no_memory_without_bounds() -> None:
    put: list[str] = []
    lines = Lines(put.append)
    for _ in range(1000):
        lines.write("x" * 1000)
    assert sum(map(len, lines.halves())) <= 64 * 1024
    lines.end()
    assert "".join(put) == "x" * 1_000_000


def test_what_a_signal_handler_prints_while_a_line_is_put_waits_for_nothing() -> None:
    put: list[str] = []

    def note(text: str) -> None:
        put.append(text)
        if text == "outer\n":
            lines.write("inner")

    lines = Lines(note)
    lines.write("outer\n")
    assert put == ["outer\n", "inner"]


class Unbuffered(io.StringIO):
    """What stdout is with PYTHONUNBUFFERED: each piece is written, and others get their turn."""

    write_through = True


def test_streams_that_write_pieces_get_lines_inside_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = Unbuffered()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    with kept_whole(), kept_whole():
        expected = print_in_turns(3, print)
        print("half", end="")
        left = sys.stdout
        assert sys.stderr is sys.stdout
    assert sys.stdout is sys.stderr is out
    assert sorted(out.getvalue().removesuffix("half").splitlines()) == expected
    print("afterwards", end="", file=left)
    assert out.getvalue().endswith("halfafterwards")


def test_dots_appear_while_the_block_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Unbuffered()
    monkeypatch.setattr(sys, "stdout", out)
    with kept_whole():
        for count in range(1, 4):
            print(".", end="")
            until(lambda: out.getvalue() == "." * count)  # noqa: B023 - called here only
    until(lambda: not [t for t in threading.enumerate() if t.name == "flowdeck-lines"])


def test_streams_that_buffer_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    with kept_whole():
        assert sys.stdout is out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_writes_its_own_lines_and_not_its_parents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads, writes = os.pipe()
    out: Any = io.TextIOWrapper(os.fdopen(writes, "wb", 0), write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    with kept_whole():
        sys.stdout.write("half of the parent's")
        child = os.fork()
        if child == 0:
            print("child", 1)
            print("child", end="", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    out.close()
    with os.fdopen(reads) as pipe:
        found = pipe.read()
    assert found.count("half of the parent's") == 1
    assert "child 1\nchild" in found.replace("half of the parent's", "")
