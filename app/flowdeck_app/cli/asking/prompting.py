"""Asking the questions of a run on the terminal of ``flowdeck run``, beside the app and the command.

Whoever is faster answers: the terminal is looked at five times a second, and between two looks the
record, where an answer from elsewhere takes the question off the screen. What was typed before the
question was there is thrown away: nobody deploys by a line that was meant for the shell.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
from typing import TYPE_CHECKING, Final

from flowdeck_app.control.cancel import who
from flowdeck_app.reports.questions import value_text
from flowdeck_store.record.answers import give, verdict
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from flowdeck_store.questions import Question
    from flowdeck_store.read.reader import Reader

_LOOK: Final = 0.2
#: Bytes of a line: more than a terminal takes in one.
_LINE: Final = 65_536


def can_prompt() -> bool:
    """Say whether a person can type here: stdin is a terminal, and ours to read."""
    with contextlib.suppress(OSError, ValueError):
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    return False


class Prompter:
    """Asks one question after the other.

    Args:
        home: the folder of the record.
        reader: of the record.
        stopped: set when the run is over.
        write: writes a text to the terminal, as it is.
        meanwhile: called between two looks.
    """

    def __init__(
        self,
        home: Path,
        reader: Reader,
        stopped: threading.Event,
        write: Callable[[str], None],
        meanwhile: Callable[[], None],
    ) -> None:
        self._home, self._reader, self._stopped = home, reader, stopped
        self._write, self._meanwhile = write, meanwhile
        self._is_closed = False

    def ask(self, question: Question) -> None:
        """Ask until it is answered, here or elsewhere, or the run is over."""
        if self._is_closed or not can_prompt():
            self._stopped.wait(_LOOK)
            return
        with contextlib.suppress(termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
        while not self._stopped.is_set():
            self._write(self._prompt(question))
            line = self._line(question)
            if line is None:
                return
            value, is_text = self._meant(question, line)
            if value is None and is_text:
                self._write(f"  An answer is needed: {one_line(question.expected)}.\n")
                continue
            request = give(self._home, question, value, is_text=is_text, by=who("terminal"))
            found = verdict(self._reader, question, request)
            if found is None or found.problem is None:
                return
            self._write(f"  {one_line(found.problem, 500)}\n")

    @staticmethod
    def _prompt(question: Question) -> str:
        expected = one_line(question.expected, 200)
        default = "; enter: " + one_line(value_text(question.default), 60)
        if question.form == "pause":
            default = "; enter: continue"
        elif not question.has_default:
            default = ""
        where = f"{one_line(question.run_name, 60)} (#{question.ref})"
        return f"? {where}: {one_line(question.text, 1000)} ({expected}{default}) "

    @staticmethod
    def _meant(question: Question, line: str) -> tuple[object, bool]:
        text = line.strip()
        if text:
            return text, True
        if question.form == "pause":
            return question.choices[0], True
        return (question.default, False) if question.has_default else (None, True)

    def _line(self, question: Question) -> str | None:
        """Return what is typed; ``None``: the question is over, or nobody types here any more."""
        stdin = sys.stdin.fileno()
        while not self._stopped.is_set():
            ready, _, _ = select.select([stdin], [], [], _LOOK)
            if ready:
                data = os.read(stdin, _LINE)
                self._is_closed = not data
                return data.decode("utf-8", "replace") if data else None
            self._meanwhile()
            now = self._reader.question(question.run_id, question.token)
            if now is None or now.how is not None:
                by = f" by {one_line(now.by, 100)}" if now is not None and now.by else ""
                was_answered = now is not None and now.how == "answered"
                self._write(
                    f"\n  {f'answered elsewhere{by}' if was_answered else 'not asked any more'}\n"
                )
                return None
        self._write("\n")
        return None
