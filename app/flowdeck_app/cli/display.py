"""The live display of one run: drawn on stderr, at most ten times a second."""

from __future__ import annotations

import dataclasses
import sys
import threading
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from flowdeck_app.cli.common import look
from flowdeck_app.cli.following import Speakers
from flowdeck_app.text.progress import progress
from flowdeck_store.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_store.records import FlowRunRecord, TaskRunRecord

INTERVAL = 0.1
LOG_LINES = 5
RUNNING_LINES = 4


class Frame:
    """Reads what the display shows of a run."""

    def __init__(self, reader: Reader, run: FlowRunRecord) -> None:
        self._reader = reader
        self._speakers = Speakers(reader, run)

    def draw(self, run: FlowRunRecord, console: Console) -> Group:
        """Return the display of a run as it stands."""
        seen = dataclasses.replace(look(sys.stderr), width=console.width)
        running: list[TaskRunRecord] = []
        if not run.is_final:
            running = self._reader.tasks(
                run.id, "state:running", order="start", limit=RUNNING_LINES
            )
        logs = self._speakers.of(self._reader.logs(run.id, limit=LOG_LINES, tail=True))
        lines = progress(run, running, logs, seen)[: max(3, console.height - 1)]
        # Text.from_ansi, never markup: names and messages are anybody's.
        return Group(*(Text.from_ansi(line, no_wrap=True, overflow="ellipsis") for line in lines))


def live_console() -> Console:
    """Return a console on stderr that draws as the settings say."""
    seen = look(sys.stderr)
    return Console(file=sys.stderr, no_color=not seen.color, highlight=False, markup=False)


def open_live(console: Console) -> Live:
    """Return a live region; what is printed meanwhile appears above it."""
    return Live(
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # a pipe gets the flow's prints as they are
        redirect_stderr=True,
        vertical_overflow="crop",
    )


class BackgroundDisplay:
    """Shows a run of this very process from a thread while the main thread executes it."""

    def __init__(self, home: Path, uid: str) -> None:
        self._home, self._uid = home, uid
        self._stop = threading.Event()
        self._live = open_live(live_console())
        self._thread = threading.Thread(target=self._work, name="flowdeck-display", daemon=True)

    def __enter__(self) -> Self:
        self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._live.stop()

    def _work(self) -> None:
        # A display that cannot read must never disturb the run: it just shows nothing more.
        try:
            with Reader.open(self._home) as reader:
                self._show(reader)
        except Exception as error:
            self._live.console.print(f"flowdeck: no live display: {error}")

    def _show(self, reader: Reader) -> None:
        frame: Frame | None = None
        while not self._stop.wait(INTERVAL):
            run = reader.run_by_uid(self._uid)
            if run is None:
                continue
            frame = frame or Frame(reader, run)
            self._live.update(frame.draw(run, self._live.console), refresh=True)
