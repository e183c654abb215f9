"""The one-line filter or search: ``/ state:failed flow:etl* since:7d``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Unpack

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.suggester import Suggester
from textual.widgets import Input, Static

from flowdeck_app.drawing.cells import clean, width
from flowdeck_app.drawing.pieces import Piece, spread
from flowdeck_app.events.living import Living
from flowdeck_app.widgets.strip_widget import StripWidget
from flowdeck_app.widgets.toggles import PlainInput
from flowdeck_store.errors import QueryError
from flowdeck_store.query import language
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.query.language import Subject

#: Seconds without a key until a filter is applied.
PAUSE: Final = 0.15
_STATES: Final = (*BUCKETS, "retrying", "paused", "cancelling", "late")


class FilterSuggester(Suggester):
    """Completes the last word: names of filters that go with the subject, then states."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._names = [name for name, field in language.FIELDS.items() if subject in field.subjects]

    async def get_suggestion(self, value: str) -> str | None:
        """Return the text with its last word completed."""
        return complete(value, self._names)


def complete(text: str, fields: Sequence[str]) -> str | None:
    """Return ``text`` with its last word completed, ``None`` if nothing fits.

    ``"fl"`` -> ``"flow:"``; ``"-state:fa"`` -> ``"-state:failed"``.
    """
    start, _, word = text.rpartition(" ")
    head = f"{start} " if start else ""
    sign = "-" if word.startswith("-") else ""
    word = word.removeprefix("-")
    if not word:
        return None
    if ":" not in word:
        found = next((name for name in fields if name.startswith(word) and name != word), None)
        return None if found is None else f"{head}{sign}{found}:"
    field, _, values = word.partition(":")
    if field != "state":
        return None
    given, comma, last = values.rpartition(",")
    state = next(
        (name for name in _STATES if last and name.startswith(last) and name != last), None
    )
    return None if state is None else f"{head}{sign}{field}:{given}{comma}{state}"


class QueryInput(PlainInput):
    """The input; ``esc`` empties it, then closes the bar."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Clear", show=False),
        Binding("down", "submit", "To the rows", show=False),
    ]

    class Left(Message):
        """``esc`` was pressed."""

    def action_leave(self) -> None:
        """Tell the bar."""
        self.post_message(self.Left())


class QueryNote(StripWidget):
    """What stands at the right: matches, or what is wrong."""

    DEFAULT_CSS = """
    QueryNote { width: 0; max-width: 60%; background: $panel; }
    """
    text: reactive[str] = reactive("")
    wrong: reactive[bool] = reactive(False)

    def watch_text(self, text: str) -> None:
        """Take the room that the text needs."""
        self.styles.width = width(clean(text, 300)) + 2 if text else 0

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line, at the right edge."""
        style = "$fd-failed" if self.wrong else "$fd-muted"
        text = clean(self.text, 300)
        if width(text) >= cells:
            return [[Piece(text, style)]]
        return [spread([], [Piece(f"{text} ", style)], cells, look.ellipsis)]


class QueryBar(Living, Horizontal):
    """Opens with ``/``; what is typed is checked, and applied after a short pause.

    Args:
        subject: what is filtered; ``None``: a plain text search without a filter language.
        hint: shown while it is empty.

    Call :meth:`open` and :meth:`close`; set :attr:`note` to ``"37 match"``.
    """

    DEFAULT_CSS = """
    QueryBar { height: 1; display: none; background: $panel; }
    QueryBar.-open { display: block; }
    QueryBar > .prompt { width: 3; color: $fd-accent; text-style: bold; background: $panel; }
    QueryBar > QueryInput { width: 1fr; background: $panel; }
    """

    class Changed(Message):
        """A valid text is to be applied (``""``: no filter)."""

        def __init__(self, bar: QueryBar, text: str) -> None:
            super().__init__()
            self.bar, self.text = bar, text

        @property
        def control(self) -> QueryBar:
            """The bar that sent it."""
            return self.bar

    class Done(Message):
        """The user is finished with the bar: focus belongs to the rows again."""

        def __init__(self, bar: QueryBar) -> None:
            super().__init__()
            self.bar = bar

        @property
        def control(self) -> QueryBar:
            """The bar that sent it."""
            return self.bar

    def __init__(
        self, subject: Subject | None = None, hint: str = "", **names: Unpack[Names]
    ) -> None:
        super().__init__(**names)
        self.subject, self.hint = subject, hint
        self.applied = ""
        self._pending: Callable[[], object] | None = None

    def compose(self) -> ComposeResult:
        """Yield prompt, input and note."""
        suggester = FilterSuggester(self.subject) if self.subject is not None else None
        yield Static(Content(" / "), classes="prompt")
        yield QueryInput(
            placeholder=self.hint, compact=True, suggester=suggester, select_on_focus=False
        )
        yield QueryNote()

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(QueryInput).value

    @property
    def is_open(self) -> bool:
        """Whether the bar is shown."""
        return self.has_class("-open")

    @property
    def note(self) -> str:
        """What stands at the right."""
        return self.query_one(QueryNote).text

    @note.setter
    def note(self, text: str) -> None:
        note = self.query_one(QueryNote)
        if not note.wrong:
            note.text = text

    def open(self, text: str | None = None) -> None:
        """Show the bar and type in it.

        Args:
            text: what it should hold; ``None`` keeps what is there.
        """
        self.add_class("-open")
        box = self.query_one(QueryInput)
        if text is not None and text != box.value:
            box.value = text
            box.cursor_position = len(text)
        box.focus()

    def close(self) -> None:
        """Empty and hide the bar; says so if a filter was in force."""
        self.query_one(QueryInput).value = ""
        self.remove_class("-open")
        self._apply("")
        self.post_message(self.Done(self))

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        text = message.value
        self.set_timer(PAUSE, lambda: self._apply_if_still(text))

    def _apply_if_still(self, text: str) -> None:
        if self.is_attached and text == self.text:
            self._apply(text)

    def _apply(self, text: str) -> bool:
        """Check and apply; ``False`` if the text is no filter."""
        note = self.query_one(QueryNote)
        error = self.problem(text)
        note.wrong = bool(error)
        if error:
            note.text = error
            return False
        if text != self.applied:
            note.text = ""
            self.applied = text
            self.post_message(self.Changed(self, text))
        return True

    def problem(self, text: str) -> str:
        """Return what is wrong with a filter, ``""`` if nothing is."""
        if self.subject is None:
            return ""
        try:
            language.parse(text, self.subject)
        except QueryError as error:
            return str(error)
        return ""

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        if self._apply(message.value):
            if not message.value:
                self.remove_class("-open")
            self.post_message(self.Done(self))

    @on(QueryInput.Left)
    def _left(self, message: QueryInput.Left) -> None:
        message.stop()
        self.close()
