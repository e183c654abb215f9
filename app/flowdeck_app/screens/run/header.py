"""The lines above the tabs of a run: how far it is, counts and figures, and why it ended badly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from textual import work
from textual.containers import Horizontal, Vertical

from flowdeck_app.access import SLOW
from flowdeck_app.drawing.cells import clean, width
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.drawing.signs import PROBLEMS, Kind, kind_of
from flowdeck_app.drawing.states import style_of
from flowdeck_app.drawing.times import seconds_of
from flowdeck_app.events.living import Living
from flowdeck_app.reports.waiting import headline
from flowdeck_app.reports.why import headline_sentences, run_sentences
from flowdeck_app.screens.parts.headline import Headline
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.screens.run.reading import RunFigures
from flowdeck_app.views.chips import chips
from flowdeck_app.views.run_header import annotation_pieces, estimate, figures
from flowdeck_app.widgets.chips import StateChips
from flowdeck_app.widgets.progress import Progress, ProgressLine
from flowdeck_store.errors import StoreError
from flowdeck_store.explain.flow_run import why_run
from flowdeck_store.read.causes import plain
from flowdeck_store.states import CANCELLED, CRASHED, FAILED

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult

    from flowdeck_app.host import HostApp
    from flowdeck_app.screens.run.reading import RunFacts
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.records import FlowRunRecord


#: What a click on a piece of a line of the screen does.
PICKED: Final = {
    "failure": "screen.go_error",
    "why": "screen.go_why",
    "answer": "screen.run_answer",
    "filter": "screen.find_filter",
    "group": "screen.view_group",
    "level": "screen.view_less",
    "times": "screen.view_times",
}


def _as_ended(run: FlowRunRecord) -> Hashable:
    """Return what an explanation of a run that has ended depends on."""
    return run.id, run.code, run.named, run.ended_us, run.message, run.counts


class RunHeader(Living, Vertical):
    """Shows what it is given; a click on a chip is a ``StateChips.Chosen``, one on the failure a
    ``Line.Picked``."""

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    RunHeader { height: auto; }
    RunHeader #run-annotations { display: none; height: 1; padding: 0 1; }
    RunHeader.-annotated #run-annotations { display: block; }
    """

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._run: FlowRunRecord | None = None
        self._figures = RunFigures()
        self._told_of: Hashable = None
        self._reading_why = Renewal(self, self._load_why, self.show_unread)

    def compose(self) -> ComposeResult:
        """Yield progress, counts and figures, and what went wrong."""
        yield ProgressLine(id="run-progress")
        with Horizontal(id="run-counts"):
            yield StateChips(id="run-chips")
            yield Line(id="run-figures")
        yield Headline(id="run-trouble")
        yield Line(id="run-annotations")

    @property
    def chips(self) -> StateChips:
        """The counts by state."""
        return self.query_one("#run-chips", StateChips)

    def on_mount(self) -> None:
        """Let the chips be walked over."""
        self.chips.can_focus = True

    def show_run(self, facts: RunFacts) -> None:
        """Show how far the run is."""
        self._run = run = facts.run
        line = self.query_one("#run-progress", ProgressLine)
        line.progress = Progress(
            run.code, run.named, run.counts, run.started_us, run.ended_us, None, run.message or ""
        )
        self.chips.counts = run.counts
        self._say_failure(facts)
        self._say_annotations(run)
        self.say_figures()

    def show_figures(self, figures: RunFigures) -> None:
        """Show what was read beside the run."""
        self._figures = figures
        self.say_figures()

    def show_gone(self, run_id: int) -> None:
        """Say that there is no such run."""
        self.query_one("#run-trouble", Headline).after = ""
        self._say_trouble(
            [(f"Run {run_id} is not in the record (any more)", "bold $fd-failed"),
             ("   esc goes back", "$fd-muted")]
        )  # fmt: skip

    def show_unread(self, error: Exception) -> None:
        """Say that the record cannot be read; what is shown stays."""
        text = clean(str(error), 300, newline=" ")
        self._say_trouble([(f"The record does not answer: {text}", "$fd-failed")])

    def _say_trouble(self, left: list[tuple[str, str]]) -> None:
        self.query_one("#run-trouble", Headline).say(left)
        self.set_class(True, "-trouble")

    def _say_failure(self, facts: RunFacts) -> None:
        """Show why the run ended badly, or what it waits for while nothing goes on in it."""
        run = facts.run
        if facts.asks:
            self._say_question(facts)
            return
        if facts.stall is not None and facts.stall.is_stall:
            said = headline(facts.stall, self.app.look.now_us)
            text = clean(said, 600, newline=" ", ascii_only=self.app.symbols.ascii)
            self.set_class(True, "-trouble")
            self.query_one("#run-trouble", Line).say([Piece(text, "$fd-retrying")])
            return
        said = plain(run.message) if facts.cause is None else facts.cause.headline
        kind = kind_of(run.code, run.named)
        shown = run.code in {FAILED, CRASHED, CANCELLED} and bool(said) and run.n_tasks > 0
        shown = shown or (kind in PROBLEMS and bool(said))
        self.set_class(shown, "-trouble")
        if shown:
            text = clean(said, 600, newline=" ", ascii_only=self.app.symbols.ascii)
            right = [Piece("e opens the traceback", "$fd-muted", "failure")]
            self.query_one("#run-trouble", Headline).say(
                [Piece(text, style_of(kind), "failure")], right if run.code == FAILED else []
            )
        else:
            self.query_one("#run-trouble", Headline).say()
        if not run.is_final:
            self._told_of = None
            self.set_class(False, "-why")
        if run.is_final and _as_ended(run) != self._told_of:
            self._reading_why.ask()

    def _say_question(self, facts: RunFacts) -> None:
        """Show what the run asks."""
        question, symbols = facts.asks[0], self.app.symbols
        more = f" (1 of {len(facts.asks)})" if len(facts.asks) > 1 else ""
        text = clean(question.text, 600, newline=" ", ascii_only=symbols.ascii)
        said = f"{symbols.of(Kind.PAUSED)} Waits for you{more}: {text}"
        self.query_one("#run-trouble", Headline).say(
            [Piece(said, "bold $fd-retrying", "answer")],
            [Piece("A answers", "$fd-muted", "answer")],
        )
        self.set_class(True, "-trouble")

    async def _load_why(self) -> None:
        """Say below it what followed and what changed: read once, when the run has ended."""
        run, now = self._run, self.app.look.now_us
        if run is None or not run.is_final or _as_ended(run) == self._told_of:
            return
        why = await self.app.access.ask(lambda reader: why_run(reader, run, now), SLOW)
        self._told_of = _as_ended(run)
        said = clean(
            " ".join(headline_sentences(why)), 2000, newline=" ", ascii_only=self.app.symbols.ascii
        )
        self.query_one("#run-trouble", Headline).after = said
        self.set_class(bool(said), "-why")

    @work(group="why", exclusive=True, exit_on_error=False)
    async def open_why(self) -> None:
        """Show all that is known of why the run went as it did."""
        run, now = self._run, self.app.look.now_us
        if run is None:
            return
        try:
            why = await self.app.access.ask(lambda reader: why_run(reader, run, now), SLOW)
        except StoreError as error:
            self.show_unread(error)
        else:
            self.app.show_message(f"Why {run.name}", "\n\n".join(run_sentences(why, now)))

    def _say_annotations(self, run: FlowRunRecord) -> None:
        """Show tags and the newest note, where there are any."""
        pieces = annotation_pieces(run, self.app.look)
        self.query_one("#run-annotations", Line).say(pieces)
        self.set_class(bool(pieces), "-annotated")

    def say_figures(self) -> None:
        """Say what fits beside the chips: what is left, what is usual, what was slowest."""
        run, look = self._run, self.app.look
        if run is None:
            return
        elapsed = seconds_of(run, look.now_us)
        known = self._figures
        taken = sum(width(piece.text) for piece in chips(run.counts, look)) + 6
        pieces = figures(
            look,
            self.app.size.width - taken,
            elapsed=elapsed,
            expected=estimate(known.points, run, elapsed, known.own, known.partly),
            usual=known.usual,
            slow=None if known.slowest is None else known.slowest[1:],
            live=not run.is_final,
        )
        line = self.query_one("#run-figures", Line)
        line.styles.width = sum(width(text) for text, _ in pieces) + 3  # the chips have the rest
        line.say([], pieces)
