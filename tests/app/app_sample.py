"""What a run's screen looks like, over rows in memory: something for the shell to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app_data import log, task, task_row, upstream
from app_harness import Bench, settle

from flowdeck_app.actions import bindings
from flowdeck_app.app import FlowdeckApp
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.views.rows import TaskRow
from flowdeck_app.widgets.chips import StateChips
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.tabs import Tab, TabStrip
from flowdeck_app.widgets.task_table import TaskTable
from flowdeck_store import states

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class Sample(Bench):
    """What a run's screen looks like, over rows in memory."""

    BINDINGS: list[BindingType] = [  # noqa: RUF012 - as Textual declares it
        *bindings("run.cancel", "run.cancel_task", "find.filter", "find.problems", "go.next_tab",
                  "go.next_failure", "take.copy", "run.again")
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__(names=("Runs", "etl_daily", "brave-otter"))
        self.reloads = 0
        self.cancelled = 0
        self.can_cancel: bool | None = True

    def facts(self) -> tuple[Piece, ...]:
        dot = self.look.symbols.dot
        return (Piece(f"dask {dot} 4 workers {dot} pid 40112", "$fd-muted"),)

    def compose_content(self) -> ComposeResult:
        chips = StateChips()
        chips.counts = (0, 55, 8, 141, 1, 0, 2, 4, 1)
        yield chips
        yield TabStrip(
            [Tab("tasks", "Tasks", 212), Tab("graph", "Graph"), Tab("logs", "Logs", 1904)]
        )
        rows = [
            TaskRow(task(3, code=states.FAILED, attempt=3, message="HTTPError: 502 Bad Gateway")),
            TaskRow(task(7, code=states.SCHEDULED, named="AwaitingRetry", message="ReadTimeout")),
            TaskRow(task(11, code=states.RUNNING)),
            TaskRow(
                task(13, "clean[3]", states.PENDING), (upstream(3, "fetch[3]", states.FAILED),)
            ),
            TaskRow(task(20, "prepare", named="Cached")),
            *(task_row(n) for n in range(30, 60)),
        ]
        yield TaskTable(MemorySource(rows, key=lambda row: row.record.id))
        lines = [log(n, level=(10, 20, 30, 40)[n % 4]) for n in range(40)]
        view = LogView(MemorySource(lines, key=lambda row: row.seq, stable=True))
        view.styles.height = "35%"
        yield view

    def on_mount(self) -> None:
        self.query_one(TaskTable).focus()

    def reload(self) -> None:
        self.reloads += 1

    def action_run_cancel(self) -> None:
        self.cancelled += 1


async def sample(app: FlowdeckApp, pilot: Any) -> Sample:
    screen = Sample()
    await app.push_screen(screen)
    await settle(pilot, lambda: screen.query_one(TaskTable).loaded)
    await pilot.pause()
    return screen
