"""The live display of one run: drawn on stderr, at most ten times a second."""

from __future__ import annotations

import collections
import dataclasses
import io
import sys
import threading
from typing import TYPE_CHECKING, Any, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from flowdeck_app.cli.common import look
from flowdeck_app.cli.following import Speakers
from flowdeck_app.text.progress import progress
from flowdeck_store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import ConsoleOptions

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


def open_live(console: Console, *, redirect: bool = True) -> Live:
    """Return a live region; with ``redirect``, what is printed meanwhile appears above it."""
    return Live(
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=redirect and sys.stdout.isatty(),
        redirect_stderr=redirect,
        vertical_overflow="crop",
    )


class Prints(io.TextIOBase):
    """Stands for stdout or stderr: keeps what is printed until the next picture is drawn.

    Printing costs the flow an append, not a redraw. There is no lock: a signal handler may print
    while the main thread does.
    """

    def __init__(self, stream: TextIO, parts: collections.deque[str]) -> None:
        self._stream, self._parts = stream, parts

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing to do: the display looks ten times a second."""

    def isatty(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # such as buffer: who writes bytes writes them at once


class _Raw:
    """Text that goes to the terminal as it is, colours and all: the flow printed it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield Segment(self.text)


class BackgroundDisplay:
    """Shows a run of this very process from a thread while the main thread executes it."""

    def __init__(self, home: Path, uid: str) -> None:
        self._home, self._uid = home, uid
        self._stop = threading.Event()
        self._printed: collections.deque[str] = collections.deque()
        self._streams = sys.stdout, sys.stderr
        self._live = open_live(live_console(), redirect=False)
        self._thread = threading.Thread(target=self._work, name="flowdeck-display", daemon=True)

    def __enter__(self) -> Self:
        self._live.start()
        if sys.stdout.isatty():  # a pipe gets the flow's prints as they are
            sys.stdout = Prints(sys.stdout, self._printed)
        sys.stderr = Prints(sys.stderr, self._printed)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._streams
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._show_prints(everything=True)
        self._live.stop()

    def _work(self) -> None:
        # A display that cannot read must never disturb the run: it just shows nothing more.
        try:
            with Reader.open(self._home) as reader:
                self._show(reader)
        except Exception as error:
            self._live.console.print(f"flowdeck: no live display: {error}")
        while not self._stop.wait(INTERVAL):
            self._show_prints()

    def _show(self, reader: Reader) -> None:
        frame: Frame | None = None
        while not self._stop.wait(INTERVAL):
            self._show_prints()
            run = reader.run_by_uid(self._uid)
            if run is None:
                continue
            frame = frame or Frame(reader, run)
            self._live.update(frame.draw(run, self._live.console), refresh=True)

    def _show_prints(self, *, everything: bool = False) -> None:
        """Put whole lines above the live region; half a line waits for its rest."""
        parts = []
        while self._printed:
            parts.append(self._printed.popleft())
        text = "".join(parts)
        end = len(text) if everything else text.rfind("\n") + 1
        if text[end:]:
            self._printed.appendleft(text[end:])
        if text[:end]:
            missing = "" if text[:end].endswith("\n") else "\n"
            self._live.console.print(_Raw(text[:end] + missing), end="", crop=False)
