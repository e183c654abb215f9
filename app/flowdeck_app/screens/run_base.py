"""What the screen of a run knows: the run, its parents, its groups and the history of its flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.access import SLOW
from flowdeck_app.glyphs import PROBLEMS, kind_of
from flowdeck_app.screens.base import FlowdeckScreen
from flowdeck_app.screens.run_renewal import Renewal
from flowdeck_app.screens.run_strips import Line
from flowdeck_app.views.run_header import estimate, figures, slowest
from flowdeck_app.views.states import style_of
from flowdeck_app.views.tasks import short_message
from flowdeck_app.views.text import clean, width
from flowdeck_app.views.times import between, moment
from flowdeck_app.widgets.chips import StateChips, chips
from flowdeck_app.widgets.progress import Progress, ProgressLine
from flowdeck_app.widgets.strip_widget import Piece
from flowdeck_app.widgets.tabs import TabStrip
from flowdeck_store.states import CANCELLED, CRASHED, FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.live import StoreChanged
    from flowdeck_app.widgets.breadcrumb import Breadcrumb
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord, RunPoint
    from flowdeck_store.summaries import TaskGroup

#: Least seconds between two readings of the groups (130 ms with 100,000 task runs).
GROUPS_REST: Final = 1.5
#: Parents that the breadcrumb names.
MOST_PARENTS: Final = 8


class RunBase(FlowdeckScreen):
    """The header of a run, kept current.

    Args:
        run_id: number of the flow run.
    """

    def __init__(self, run_id: int) -> None:
        super().__init__()
        self.run_id = run_id
        self.run: FlowRunRecord | None = None
        self.parents: tuple[FlowRunRecord, ...] = ()
        self.groups: tuple[TaskGroup, ...] = ()
        self.points: tuple[RunPoint, ...] = ()
        self.usual: float | None = None
        self._slowest: tuple[int, str, float] | None = None
        self._header = Renewal(self, self._load_header, self._trouble)
        self._figures = Renewal(self, self._load_groups, self._trouble, rest=GROUPS_REST)

    # -- the breadcrumb --------------------------------------------------------------------

    def trail(self) -> Sequence[str]:
        """Return Runs, the flow, the parents of a subflow run, and the run."""
        if self.run is None:
            return ("Runs", f"#{self.run_id}")
        flow = self.parents[0].flow if self.parents else self.run.flow
        return ("Runs", flow, *(parent.name for parent in self.parents), self.run.name)

    def facts(self) -> Sequence[Piece]:
        """Return the runner, the process while there is one, and when it began."""
        run = self.run
        if run is None:
            return ()
        parts = [clean(run.runner or "", 40)]
        if not run.is_final and run.pid is not None:
            parts.append(f"pid {run.pid}")
        look = self.look
        parts.append(moment(run.started_us or run.created_us, look.now_us, look.times, look.zone))
        text = f" {look.symbols.dot} ".join(part for part in parts if part)
        return (Piece(text, "$fd-muted"),)

    def on_breadcrumb_picked(self, message: Breadcrumb.Picked) -> None:
        """Go back to the run that was clicked, else out of the runs."""
        message.stop()
        place = message.level - 2
        if not 0 <= place < len(self.parents):
            if message.level < 2:
                self.app.back_to(self._levels_out())
            return
        wanted = self.parents[place].id
        screens = [getattr(screen, "run_id", None) for screen in self.app.screen_stack]
        if wanted in screens:
            self.app.back_to(len(screens) - 1 - screens.index(wanted))
        else:
            self.app.back_to(1)
            self.app.open_run(wanted)

    def _levels_out(self) -> int:
        """Return how many screens of runs lie on each other."""
        stack = self.app.screen_stack
        return next(
            (n for n, screen in enumerate(reversed(stack)) if not hasattr(screen, "run_id")),
            len(stack),
        )

    # -- reading ---------------------------------------------------------------------------

    def store_changed(self, message: StoreChanged) -> None:
        """Reload when this run may have changed."""
        if message.touches(self.run_id):
            self.reload()

    def reload_header(self) -> None:
        """Ask for the run and its figures."""
        self._header.ask()
        self._figures.ask()

    async def _load_header(self) -> None:
        run, parents = await self.app.access.ask(self._read_run)
        before, self.run, self.parents = self.run, run, tuple(parents)
        live = run is not None and not run.is_final
        if self.app.screen is self:
            self.app.watch_closely(live)
        self._show_header()
        if before is None and run is not None:
            self._figures.now()
            self.first_seen(run)
        self.refresh_breadcrumb()
        self.refresh_bindings()
        self.run_changed()

    def _read_run(self, reader: Reader) -> tuple[FlowRunRecord | None, list[FlowRunRecord]]:
        run = reader.run(self.run_id)
        parents: list[FlowRunRecord] = []
        child = run
        while child is not None and child.parent_task is not None and len(parents) < MOST_PARENTS:
            child = reader.run(child.parent_task >> 24)
            if child is not None:
                parents.insert(0, child)
        return run, parents

    async def _load_groups(self) -> None:
        run = self.run
        if run is None:
            return
        self.groups, self._slowest, flow = await self.app.access.ask(
            lambda reader: self._read_groups(reader, run), SLOW
        )
        if flow is not None:
            self.points, self.usual = flow
        self._show_figures()
        self.groups_changed()

    def _read_groups(
        self, reader: Reader, run: FlowRunRecord
    ) -> tuple[
        tuple[TaskGroup, ...],
        tuple[int, str, float] | None,
        tuple[tuple[RunPoint, ...], float | None] | None,
    ]:
        groups = tuple(reader.task_groups(run.id))
        found = slowest(groups)
        name = None
        if found is not None and found.longest_no is not None and found.longest is not None:
            task = reader.task(run.id, found.longest_no)
            name = (found.longest_no, task.name if task else found.task, found.longest)
        flow = reader.flow(run.flow_key)
        return groups, name, None if flow is None else (flow.history, flow.p50_seconds)

    def first_seen(self, run: FlowRunRecord) -> None:
        """Hear of the first record of the run."""

    def run_changed(self) -> None:
        """Hear that the run was read anew."""

    def groups_changed(self) -> None:
        """Hear that the groups were read anew."""

    def _trouble(self, error: Exception) -> None:
        """Say that the record cannot be read; what is shown stays."""
        if self.is_attached:
            self.query_one("#run-trouble", Line).say(
                [
                    (
                        f"The record does not answer: {clean(str(error), 300, newline=' ')}",
                        "$fd-failed",
                    )
                ]
            )
            self.set_class(True, "-trouble")

    # -- drawing ---------------------------------------------------------------------------

    def _show_header(self) -> None:
        run = self.run
        if run is None:
            self._say_gone()
            return
        self.set_class(False, "-gone")
        line = self.query_one("#run-progress", ProgressLine)
        line.progress = Progress(
            run.code, run.named, run.counts, run.started_us, run.ended_us, None, run.message or ""
        )
        self.query_one("#run-chips", StateChips).counts = run.counts
        tabs = self.query_one("#run-tabs", TabStrip)
        tabs.set_count("tasks", run.n_tasks)
        tabs.set_count("logs", run.n_logs)
        self._say_failure(run)
        self._show_figures()

    def _say_gone(self) -> None:
        self.query_one("#run-trouble", Line).say(
            [(f"Run {self.run_id} is not in the record (any more)", "bold $fd-failed"),
             ("   esc goes back", "$fd-muted")]
        )  # fmt: skip
        self.set_class(True, "-trouble")
        self.set_class(True, "-gone")

    def _say_failure(self, run: FlowRunRecord) -> None:
        """Show why the flow itself ended badly."""
        shown = run.code in {FAILED, CRASHED, CANCELLED} and bool(run.message) and run.n_tasks > 0
        shown = shown or (kind_of(run.code, run.named) in PROBLEMS and bool(run.message))
        self.set_class(shown, "-trouble")
        if shown:
            style = style_of(kind_of(run.code, run.named))
            said = short_message(run.message or "")
            text = clean(said, 600, newline=" ", ascii_only=self.app.symbols.ascii)
            right = [Piece("e opens the traceback", "$fd-muted", "failure")]
            self.query_one("#run-trouble", Line).say(
                [Piece(text, style, "failure")], right if run.code == FAILED else []
            )

    def _show_figures(self) -> None:
        run, look = self.run, self.look
        if run is None:
            return
        elapsed = between(run.started_us, run.ended_us, look.now_us)
        slow = self._slowest
        taken = sum(width(piece.text) for piece in chips(run.counts, look)) + 6
        pieces = figures(
            look,
            self.app.size.width - taken,
            elapsed=elapsed,
            expected=estimate(self.points, run, elapsed),
            usual=self.usual,
            slow=None if slow is None else (slow[1], slow[2]),
            live=not run.is_final,
        )
        line = self.query_one("#run-figures", Line)
        line.styles.width = sum(width(text) for text, _ in pieces) + 3  # the chips have the rest
        line.say([], pieces)

    def tick(self) -> None:
        """Let the estimate count down."""
        if self.app.screen is self and self.run is not None and not self.run.is_final:
            self._show_figures()
