"""What tasks in other processes print without ``log_prints``, on its way home."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from flowdeck.remote import prints
from flowdeck.remote.prints import forwarded
from flowdeck.threads import active

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


class Home:
    """Takes texts, if it is there."""

    def __init__(self) -> None:
        self.is_there = True
        self.tries = 0
        self.kept: list[tuple[str, bool]] = []
        self.texts: list[tuple[str, bool]] = []

    def send(self, texts: list[tuple[str, bool]]) -> bool:
        self.tries += 1
        self.kept += texts
        if self.is_there:
            self.texts += self.kept
            self.kept = []
        return self.is_there


def in_a_task(function: Callable[[], None]) -> None:
    run: Any = object()
    token = active.current_task_run.set(run)
    try:
        function()
    finally:
        active.current_task_run.reset(token)


def test_prints_of_threads_of_a_task_leave_as_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prints, "_LINGER", 0.001)
    home, barrier = Home(), threading.Barrier(3)

    class Slow:
        """Everybody writes a piece, and some of it is sent, before anybody writes the next."""

        def __str__(self) -> str:
            barrier.wait(20)
            return "whole"

    def work(number: int) -> None:
        in_a_task(lambda: print("printed", number, Slow(), Slow()))

    with forwarded(home.send):
        workers = [threading.Thread(target=work, args=[number]) for number in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
    lines = "".join(text for text, _ in home.texts).splitlines()
    assert sorted(lines) == [f"printed {number} whole whole" for number in range(3)]
    assert all(text.endswith("\n") for text, _ in home.texts)


def test_what_is_printed_before_home_is_there_needs_no_further_print_to_arrive() -> None:
    home = Home()
    home.is_there = False
    with forwarded(home.send):
        in_a_task(lambda: print("early"))
        until(lambda: home.tries >= 2)
        home.is_there = True
        until(lambda: home.texts)
    assert home.texts == [("early\n", False)]


def test_a_line_without_an_end_is_sent_while_the_task_goes_on_and_all_at_its_end() -> None:
    home = Home()
    with forwarded(home.send):
        in_a_task(lambda: print(".", end=""))
        until(lambda: home.texts == [(".", False)])
        in_a_task(lambda: print("half", end="", file=sys.stderr))
    assert home.texts == [(".", False), ("half", True)]
