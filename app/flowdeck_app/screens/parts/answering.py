"""Answering what a run asks: the key, and the dialog.

The dialog stays open until the run has taken the answer: only the run knows whether it fits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, cast

from textual import on, work
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from flowdeck_app.control.cancel import who
from flowdeck_app.drawing.cells import clean, clean_lines
from flowdeck_app.reports.questions import value_text
from flowdeck_app.screens.parts.base import FlowdeckModal
from flowdeck_app.widgets.toggles import LinesInput, PlainOptionList
from flowdeck_store.errors import StoreError
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.answers import give, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

    from flowdeck_app.screens.parts.base import FlowdeckScreen
    from flowdeck_store.questions import Question
    from flowdeck_store.record.answers import AnswerVerdict


class AnswerScreen(FlowdeckModal):
    """Dismisses with a sentence about what came of it, ``None`` without an answer.

    Args:
        question: what is asked.
        more: how many others the run asks.
    """

    DEFAULT_CSS = """
    AnswerScreen > .panel { padding: 1 2; }
    AnswerScreen #question { height: auto; max-height: 12; margin-bottom: 1; }
    AnswerScreen #hint { height: auto; max-height: 4; color: $fd-muted; }
    AnswerScreen #problem { height: auto; max-height: 6; color: $fd-failed; }
    AnswerScreen Input { background: $panel; border: none; height: 1; padding: 0 1; }
    AnswerScreen OptionList { height: auto; max-height: 12; }
    """

    def __init__(self, question: Question, more: int = 0) -> None:
        super().__init__()
        self.question, self._more = question, more
        self._answers = self._offered()

    def _offered(self) -> list[object]:
        """Return the answers to choose from; none: it is typed."""
        question = self.question
        if question.form == "bool":
            return [True, False]
        found = list(question.choices)
        if question.has_default and question.default in found:
            found.remove(question.default)
            found.insert(0, question.default)
        return found

    def compose(self) -> ComposeResult:
        """Yield the panel."""
        question = self.question
        panel = Vertical(classes="panel")
        panel.border_title = Content(clean(f"{question.run_name} (#{question.ref}) asks", 100))
        panel.border_subtitle = Content(f"enter answers {self.look.symbols.dot} esc later")
        with panel:
            lines = clean_lines(question.text, 1000, 20)
            yield Static(Content("\n".join(lines)), id="question")
            if self._answers:
                named = [Option(Content(clean(value_text(a), 200))) for a in self._answers]
                yield PlainOptionList(*named, compact=True)
            else:
                yield LinesInput(placeholder=clean(question.expected, 200), compact=True)
            if self._hint():
                yield Static(Content(self._hint()), id="hint")
            yield Static(Content(""), id="problem")

    def _hint(self) -> str:
        question, parts = self.question, []
        if question.has_default and question.form != "pause":
            shown = clean(value_text(question.default), 100, newline=" ")
            parts.append(f"Default: {shown}" + ("" if self._answers else " (enter takes it)"))
        if self._more:
            parts.append(f"{self._more} more to answer after this")
        return "\n".join(parts)

    def on_mount(self) -> None:
        """Let the cursor stand where the answer is given."""
        self.query("OptionList, Input").first().focus()
        if self.question.form == "bool" and self.question.default is not True:
            self.query_one(OptionList).highlighted = 1  # nobody says yes by one key too many

    @on(OptionList.OptionSelected)
    def _chosen(self, message: OptionList.OptionSelected) -> None:
        message.stop()
        value = self._answers[message.option_index]
        self._send(value, isinstance(value, str))

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        if message.value.strip():
            self._send(message.value, True)
        elif self.question.has_default:
            self._send(self.question.default, False)

    @work(group="answer", exclusive=True, exit_on_error=False)
    async def _send(self, value: object, is_text: bool) -> None:
        self._say("Waiting for the run to take it ...", "$fd-muted")
        try:
            found = await asyncio.to_thread(_answer, self.app.home, self.question, value, is_text)
        except (StoreError, sqlite3.Error, OSError, ValueError) as error:
            self._say(f"Not written: {error}", "$fd-failed")
            return
        self.app.expect_change()
        if found is None:
            self.dismiss("The run has not looked at the answer yet; it waits there for it")
        elif found.problem is not None:
            self._say(found.problem, "$fd-failed")
        elif found.is_taken:
            self.dismiss(f"Answered {self.question.key} of {self.question.run_name}")
        else:
            self.dismiss(f"{self.question.key} is not asked any more")

    def _say(self, text: str, style: str) -> None:
        shown = "\n".join(clean_lines(text, 300, 6))
        self.query_one("#problem", Static).update(Content.styled(shown, style))


def _answer(home: Path, question: Question, value: object, is_text: bool) -> AnswerVerdict | None:
    request = give(home, question, value, is_text=is_text, by=who("flowdeck app"))
    with Reader.open(home) as reader:
        return verdict(reader, question, request)


class AnswersRuns:
    """The key that answers; mixed into a screen that is about runs."""

    #: How many runs ask anything, on a screen that is about all of them.
    asking = 0

    @property
    def can_answer(self) -> bool | None:
        """Whether the run, the one under the cursor or the screen's own, asks anything."""
        run = self._answering_screen.failed_run
        return self.asking > 0 or (run is not None and run.asks > 0)

    async def action_run_answer(self) -> None:
        """Ask the oldest of the run's questions; on a screen about all runs, else that of any."""
        screen = self._answering_screen
        run = screen.failed_run
        number = run.id if run is not None and (run.asks or not self.asking) else None
        try:
            asks = await screen.app.access.ask(lambda reader: reader.open_questions(number))
        except StoreError as error:
            screen.app.show_error("The questions cannot be read", error)
            return
        if not asks:
            screen.app.say("Nothing is asked any more")
            screen.reload()
            return
        screen.app.push_screen(AnswerScreen(asks[0], len(asks) - 1), self._answered)

    def _answered(self, said: str | None) -> None:
        if said:
            self._answering_screen.app.say(said)
            self._answering_screen.reload()

    @property
    def _answering_screen(self) -> FlowdeckScreen:
        """The screen that this is mixed into."""
        return cast("FlowdeckScreen", self)
