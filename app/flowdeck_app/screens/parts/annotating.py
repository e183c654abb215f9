"""Tags and notes that are given to runs from a screen: asks for them, and writes them."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from flowdeck_app.control.cancel import who
from flowdeck_app.screens.parts.ask_text import AskTextScreen
from flowdeck_store.errors import StoreError
from flowdeck_store.record.annotations import add_note, change_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowdeck_app.screens.parts.base import FlowdeckScreen
    from flowdeck_store.read.records import FlowRunRecord

#: Notes that are shown above the field for another one.
_SHOWN: Final = 5


def tag_changes(text: str) -> tuple[list[str], list[str]]:
    """Return the tags to add and those to take away: ``new +new -old``; ``-a,b`` takes both away."""
    add: list[str] = []
    remove: list[str] = []
    for word in text.split():
        chosen = add
        for tag in filter(None, word.split(",")):
            if tag[0] in "+-":
                chosen = remove if tag[0] == "-" else add
                tag = tag[1:]
            chosen.append(tag)
    return add, remove


class Annotated(NamedTuple):
    """The runs that are annotated: their numbers, what they are called in a sentence, and the run
    itself, if it is one (what it has already is shown)."""

    ids: Sequence[int]
    named: str
    known: FlowRunRecord | None


class AnnotatesRuns:
    """The keys for tags and notes; mixed into a screen that is about runs."""

    @property
    def annotated(self) -> Annotated | None:
        """The runs: by default that of ``F``, the one under the cursor or the screen's own."""
        run = self._screen.failed_run
        return None if run is None else Annotated([run.id], f"run {run.name}", run)

    @property
    def can_annotate(self) -> bool | None:
        """Whether there is a run."""
        return True if self.annotated is not None else None

    def action_run_tag(self) -> None:
        """Ask for tags, and change those of the runs."""
        about = self.annotated
        if about is None:
            return
        home = self._screen.app.home
        present = ", ".join(about.known.tags) if about.known is not None else ""

        def change(text: str) -> None:
            add, remove = tag_changes(text)
            change_tags(home, about.ids, add, remove)

        asked = AskTextScreen(f"Tags of {about.named}", "new -old", present and f"Now: {present}")
        self._ask(asked, change, f"Changed the tags of {about.named}")

    def action_run_note(self) -> None:
        """Ask for a note, and write it on the runs."""
        about = self.annotated
        if about is None:
            return
        home = self._screen.app.home
        notes = [note.text for note in about.known.notes[-_SHOWN:]] if about.known else []

        def write(text: str) -> None:
            for run_id in about.ids:
                add_note(home, run_id, text, who())

        asked = AskTextScreen(f"Note on {about.named}", "what is known of it", "\n".join(notes))
        self._ask(asked, write, f"Noted on {about.named}")

    @property
    def _screen(self) -> FlowdeckScreen:
        """The screen that this is mixed into."""
        return cast("FlowdeckScreen", self)

    def _ask(self, asked: AskTextScreen, write: Callable[[str], None], done: str) -> None:
        screen = self._screen

        def answered(text: str | None) -> None:
            if text and text.strip():
                work = _write(screen, write, text, done)
                screen.run_worker(work, group="annotations", exit_on_error=False)

        screen.app.push_screen(asked, answered)


async def _write(
    screen: FlowdeckScreen, write: Callable[[str], None], text: str, done: str
) -> None:
    try:
        await asyncio.to_thread(write, text)
    except ValueError as error:
        screen.app.say(f"Not written: {error}", "warning")
    except (StoreError, sqlite3.Error, OSError) as error:
        screen.app.show_error("Nothing was written", error)
    else:
        screen.app.expect_change()
        screen.reload()
        screen.app.say(done)
