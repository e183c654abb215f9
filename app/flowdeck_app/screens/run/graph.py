"""The Graph tab of a run: its tasks, and in place what the subflows among them did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from textual import on

from flowdeck_app.access import SLOW
from flowdeck_app.screens.parts.renewal import Renewal, records_of
from flowdeck_app.screens.run.panes import ReadingFailed, TaskPicked
from flowdeck_app.views.graph.draw import INSIDE, Shown
from flowdeck_app.views.run_header import zero_us
from flowdeck_app.widgets.graph import GraphView

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord


class GraphPane(GraphView):
    """The graph of the run's tasks.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id = run_id
        self._run: FlowRunRecord | None = None
        self._opened: set[str] = set()
        self._runs: dict[str, tuple[int, ...]] = {}
        self._path: tuple[frozenset[str], frozenset[tuple[str, str]]] = frozenset(), frozenset()
        self._reading = Renewal(self, self._load, self._failed, rest=1.5)

    def show_run(self, run: FlowRunRecord) -> None:
        """Take note of when it began and ended."""
        self._run = run

    def renew(self, query: str) -> None:
        """Read the graph anew; it has no filter."""
        self._reading.ask()

    def focus_rows(self) -> None:
        """Put the focus on the nodes."""
        self.focus()

    def mark_path(self, tasks: frozenset[str], steps: frozenset[tuple[str, str]]) -> None:
        """Mark the tasks, by their keys, and the edges that are on the critical path."""
        if (tasks, steps) != self._path:
            self._path = tasks, steps
            self._reading.now()

    async def _load(self) -> None:
        run = self._run
        now = self.app.look.now_us
        end = run.ended_us if run is not None and run.ended_us is not None else now
        total = max(1, end - zero_us(run)) if run is not None else None
        opened, path = frozenset(self._opened), self._path
        shown, runs = await records_of(self).ask(
            lambda reader: read_graph(reader, [self.run_id], end, total, opened, path), SLOW
        )
        self._runs = runs
        self.show(shown)

    def _failed(self, error: Exception) -> None:
        self.post_message(ReadingFailed(error))

    @on(GraphView.Opened)
    def _node_opened(self, message: GraphView.Opened) -> None:
        """Open or close subflows in place; of a task show the task runs."""
        message.stop()
        key = message.key
        if message.opens:
            self._opened ^= {key}
            self._reading.now()
            return
        outer, _, task = key.rpartition(INSIDE)
        if not outer:
            self.post_message(TaskPicked(task))
        elif self._runs.get(outer):
            self.app.open_run(self._runs[outer][-1])


def read_graph(
    reader: Reader,
    run_ids: Sequence[int],
    end_us: int,
    total_us: int | None,
    opened: AbstractSet[str],
    path: tuple[frozenset[str], frozenset[tuple[str, str]]] = (frozenset(), frozenset()),
    before: str = "",
) -> tuple[Shown, dict[str, tuple[int, ...]]]:
    """Read a graph with what is opened of it; runs on a lane's thread.

    Args:
        reader: of the record.
        run_ids: of the run, or of all the subflow runs that one task stands for.
        end_us: when the run ended, or the time.
        total_us: how long the run took until then; ``None``: it is not known.
        opened: whole keys of the opened nodes.
        path: tasks and edges on the critical path.
        before: whole key of what these runs are inside of, and the mark behind it.

    Returns:
        What is to be shown, and the subflow runs that nodes stand for, by their whole keys.
    """
    found = reader.runs_graph(run_ids, end_us)
    runs = {before + key: ids for key, ids in found.children.items()}
    inside: dict[str, Shown] = {}
    for key, ids in found.children.items():
        if before + key in opened:
            inside[key], deeper = read_graph(
                reader, ids, end_us, total_us, opened, before=f"{before}{key}{INSIDE}"
            )
            runs |= deeper
    shares = {} if total_us is None else {
        key: min(1.0, us / total_us) for key, us in found.covered_us.items()
    }  # fmt: skip
    many = {key: len(ids) for key, ids in found.children.items()}
    return Shown(found.graph, shares, many, inside, *path), runs
