"""What the view of each tab of a run is, and the views that are little more than a widget.

A pane has its own rows, its own readings and what it says about them. The screen tells it which run
it is about and under which filter; it tells the screen what only the screen can do
(:class:`TaskPicked`, :class:`ReadingFailed`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Unpack

from textual import on
from textual.message import Message

from flowdeck_app.access import SLOW
from flowdeck_app.drawing.ansi import without_colours
from flowdeck_app.log_sources import LogSource
from flowdeck_app.screens.parts.fact_list import PanelView
from flowdeck_app.screens.parts.renewal import Renewal, records_of
from flowdeck_app.sources import TimelineSource, group_bars, worker_bars
from flowdeck_app.tree_sources import TimelineTreeSource
from flowdeck_app.views.facts import run_rows
from flowdeck_app.views.logs import texts_in
from flowdeck_app.views.run_header import zero_us
from flowdeck_app.widgets.lines.messages import Changed, Opened
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.log_view import LogView, origin_of
from flowdeck_app.widgets.timeline import Timeline
from flowdeck_store.ids import run_of, split, task_run_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.provenance import ProvenanceRecord
    from flowdeck_store.read.records import FlowRunRecord, LogRecord
    from flowdeck_store.read.tree.runs import TreeRun


@dataclass(frozen=True, slots=True)
class TreeChoice:
    """Whether all that is below the run is shown, too, and which runs of it are folded."""

    whole: bool = False
    folded: frozenset[int] = frozenset()


#: What the timeline shows, in the order of ``b``.
LANES: Final = ("task runs", "tasks", "workers")
#: Cells for the name of the task in the run's log; with all that is below it.
TASK_CELLS: Final = 16
TREE_CELLS: Final = 28


class Pane(Protocol):
    """What the screen asks of the view of a tab."""

    def show_run(self, run: FlowRunRecord) -> None:
        """Take note of the run, which was read anew."""

    def renew(self, query: str) -> None:
        """Read anew what is shown, under a filter."""

    def focus_rows(self) -> None:
        """Put the focus on its main view."""


class TaskPicked(Message):
    """A task of the flow was opened, by its key: its task runs are to be shown."""

    def __init__(self, key: object) -> None:
        super().__init__()
        self.key = key


class ReadingFailed(Message):
    """The record did not answer a pane."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class TimelinePane(Timeline):
    """Bars of task runs, tasks or workers.

    Args:
        run_id: number of the flow run.
        lanes: what a bar is.
    """

    app: HostApp  # narrower than Textual's, for the checker

    def __init__(self, run_id: int, lanes: str = LANES[0], **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id, self.lanes = run_id, lanes
        self.below = TreeChoice()
        self._bars_of: tuple[object, ...] | None = None

    def show_run(self, run: FlowRunRecord) -> None:
        """Draw from the start of the run to its end."""
        self.set_span(zero_us(run), run.ended_us)

    def renew(self, query: str) -> None:
        """Read the bars anew; only those of task runs are filtered."""
        by_task = self.lanes == LANES[0]
        access = records_of(self)
        below = self.below if by_task else TreeChoice()
        wanted = (self.lanes, query if by_task else "", below, access)
        if wanted == self._bars_of:
            self.reload()
            return
        self._bars_of = wanted
        if by_task and self.below.whole:
            self.show(TimelineTreeSource(access, self.run_id, query, self.below.folded))
        elif by_task:
            self.show(TimelineSource(access, self.run_id, query))
        elif self.lanes == LANES[1]:
            self.show(group_bars(access, self.run_id))
        else:
            self.show(worker_bars(access, self.run_id))

    def focus_rows(self) -> None:
        """Put the focus on the bars."""
        self.focus()

    def change_lanes(self, query: str) -> None:
        """Let the bars be something else."""
        self.lanes = LANES[(LANES.index(self.lanes) + 1) % len(LANES)]
        self.renew(query)
        self.app.say(f"Bars are {self.lanes}")

    @on(Opened)
    def _bar_opened(self, message: Opened) -> None:
        message.stop()
        if isinstance(message.key, int):
            self.app.open_task(*split(message.key))
        else:
            self.post_message(TaskPicked(message.key))


class ParamsPane(PanelView):
    """What the run was given, and where it ran."""

    app: HostApp  # narrower than Textual's, for the checker

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(empty=("No parameters", ""), **names)
        self._run: FlowRunRecord | None = None
        self._ran_as: ProvenanceRecord | None = None
        self._reading = Renewal(self, self._load, self._failed, rest=1.5)

    def show_run(self, run: FlowRunRecord) -> None:
        """Show the run as it is now."""
        self._run = run
        if self.display:
            self.renew("")

    def renew(self, query: str) -> None:
        """Draw the facts of the run; there is no filter."""
        if self._run is not None:
            self.fill(run_rows(self._run, self.look, self._ran_as), subject=self._run.id)
            if self._ran_as is None or not self._run.is_final:
                self._reading.ask()

    async def _load(self) -> None:
        run = self._run
        if run is not None:
            found = await records_of(self).ask(lambda reader: reader.provenance(run.id), SLOW)
            if found != self._ran_as:
                self._ran_as = found
                self.fill(run_rows(run, self.look, found), subject=run.id)

    def _failed(self, error: Exception) -> None:
        self.post_message(ReadingFailed(error))

    def focus_rows(self) -> None:
        """Put the focus on the facts."""
        self.focus()


def origin_name(id_: int, label: str, runs: Mapping[int, TreeRun]) -> str:
    """Return who wrote a line: ``load[2]``, ``audit > load[2]`` in a subflow."""
    run = runs.get(run_of(id_))
    return " > ".join(part for part in (*(run.path if run else ()), label) if part)


class RunLog(LogView):
    """The log of a run, each line with the name of its task run.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id = run_id
        self.whole = False
        self._lines_of: tuple[object, ...] | None = None
        self._names = Renewal(self, self._load_names, self._failed, rest=0.05)

    class FirstWanted(Message):
        """The first line of a pattern was opened: it is to be shown among the others."""

        def __init__(self, seq: int) -> None:
            super().__init__()
            self.seq = seq

    def show_patterns(self, rows: list[LogRecord], repeats: dict[int, int]) -> None:
        """Show lines that stand for several each.

        Args:
            rows: the first line of each pattern, as it is to be drawn.
            repeats: how many lines there are of it, by the number of the first.
        """
        self.task_cells, self.marked = self._origin_cells(), ()
        self.repeats = repeats
        if isinstance(self.source, MemorySource):
            self.source.rows = rows
            self.redraw()
            self.reload()
        else:
            self._lines_of = None
            self.show(MemorySource(rows, key=lambda row: row.seq, text=lambda row: row.message))

    def renew(self, query: str) -> None:
        """Read the lines anew, under a filter."""
        self.repeats = {}
        self.task_cells = self._origin_cells()
        wanted = (query, self.whole, records_of(self))
        if wanted == self._lines_of:
            self.reload()
            return
        self._lines_of = wanted
        self.marked = texts_in(query)
        self.empty = (
            ("Nothing matches", "esc clears the filter")
            if query
            else ("No log lines yet", "Lines appear here as the flow writes them")
        )
        self.show(LogSource(records_of(self), self.run_id, None, query, whole=self.whole))
        self.set_follow(True)

    def _origin_cells(self) -> int:
        if self.whole:
            return TREE_CELLS if self.app.size.width >= 110 else TASK_CELLS
        return TASK_CELLS if self.app.size.width >= 90 else 0

    def unnamed(self) -> list[int]:
        """Return the ids of the task runs whose lines are in view without their name."""
        rows = (self.row_at(place) for place in range(self.top, self.top + self.size.height))
        ids = {origin_of(row) for row in rows if row is not None}
        return sorted(ids - self.task_names.keys() - {task_run_id(self.run_id, 0)})

    @on(Changed)
    def _lines_came(self) -> None:
        if self.unnamed():
            self._names.ask()

    async def _load_names(self) -> None:
        ids = self.unnamed()
        if not ids:
            return
        tasks = await records_of(self).ask(lambda reader: reader.tasks_by_ids(ids))
        labels = {task.id: task.label for task in tasks}
        runs = self.source.runs if isinstance(self.source, LogSource) else {}
        names = {id_: origin_name(id_, labels.get(id_, ""), runs) for id_ in ids}
        self.task_names.update(names)
        self.redraw()

    def _failed(self, error: Exception) -> None:
        self.post_message(ReadingFailed(error))

    @on(Opened)
    def _line_opened(self, message: Opened) -> None:
        message.stop()
        if self.repeats and message.row is not None:
            self.post_message(self.FirstWanted(message.row.seq))
        elif message.row is not None:
            self.app.show_message(f"{message.row.logger}", without_colours(message.row.message))
