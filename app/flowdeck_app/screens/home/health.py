"""The health panel: what it reads, and the widget."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from textual.reactive import reactive
from textual.widget import Widget

from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.events.living import Living
from flowdeck_app.screens.home.health_text import HomeHealth, health_lines, trouble_lines
from flowdeck_app.widgets.guard import look_of
from flowdeck_store.states import BUCKETS, COMPLETED, CRASHED, FAILED

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import RenderResult

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

_HOUR_US: Final = 3_600_000_000
#: Runs among which a failed task is looked for.
_RECENT: Final = 100
_WRONG: Final = tuple(BUCKETS.index(name) for name in ("failed", "crashed"))
#: Seconds between two looks at the clock.
_AGE: Final = 10.0
#: Engines that are optional.
_ENGINES: Final = (("Dask", "dask"), ("Ray", "ray"))


def read_health(reader: Reader, now_us: int) -> HomeHealth:
    """Read what the panel shows; runs on a lane's thread."""
    since = now_us - 24 * _HOUR_US
    day = tuple(reader.run_histogram(since, _HOUR_US, until_us=now_us))
    run = _last_with_failure(reader)
    failure = None
    name = None
    if run is not None:
        cause = reader.cause(run)
        task = reader.first_failure(run.id) if cause is None else cause.task
        if task is not None:
            name = task.label if cause is None else cause.where
        failure = reader.last_failure(task.run_id if task else run.id, task.no if task else 0)
    from flowdeck.task_runners import is_installed  # imports the engine: after the first frame

    engines = tuple((label, is_installed(name)) for label, name in _ENGINES)
    asking = len({question.run_id for question in reader.open_questions()})
    return HomeHealth(reader.store_info(), day, engines, None, run, name, failure, asking)


def _last_with_failure(reader: Reader) -> FlowRunRecord | None:
    """Return the newest run that failed or had a task that did, also if the run completed; but not
    one that was run again until it completed."""
    repaired: set[str | None] = set()
    for run in reader.runs(limit=_RECENT):
        if run.uid in repaired:
            repaired.add(run.rerun_of)
        elif run.code in {FAILED, CRASHED} or any(run.counts[place] for place in _WRONG):
            return run
        elif run.code == COMPLETED:
            repaired.add(run.rerun_of)
    failed = [r for r in reader.runs("state:failed,crashed", limit=1) if r.uid not in repaired]
    return failed[0] if failed else None


def free_bytes(home: Path) -> int | None:
    """Return the free bytes of the file system that holds a home folder, there yet or not."""
    folder = home
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def health_pieces(health: HomeHealth) -> list[Piece]:
    """Return what the breadcrumb says: how many runs wait for a person, run, and failed."""
    asking, counts = health.asking, health.day_counts()
    waits = f"{asking} run{' waits' if asking == 1 else 's wait'} for you  "
    found = [Piece(waits, "bold $fd-retrying")] if asking else []
    failed = counts["failed"] + counts["crashed"]
    if health.store.totals.live:
        found.append(Piece(f"{health.store.totals.live} running  ", "$fd-running"))
    if failed:
        found.append(Piece(f"{failed} failed in 24 h  ", "$fd-failed"))
    return found


class HealthPanel(Living, Widget):
    """Draws a :class:`HomeHealth`."""

    health: reactive[HomeHealth | None] = reactive(None)
    trouble: reactive[str] = reactive("")

    def on_mount(self) -> None:
        """Keep what is said to be so long ago right."""
        self.set_interval(_AGE, self._look_at_clock)

    def _look_at_clock(self) -> None:
        if self.screen.is_active:
            self.refresh()

    def render(self) -> RenderResult:
        """Return the lines, or nothing before they are known; why, if they cannot be read."""
        from textual.content import Content

        cells = max(self.size.width, 10)
        if self.trouble:
            return Content("\n").join(trouble_lines(self.trouble, cells, look_of(self.app)))
        if self.health is None:
            return Content("")
        return Content("\n").join(health_lines(self.health, cells, look_of(self.app)))
