"""The live display of one run: drawn on stderr, at most ten times a second.

The picture comes from the record, as for ``flowdeck watch``, which sees runs of other processes:
the display knows nothing of the engine and cannot slow it down but by reading.

What the flow prints must appear above the picture, whole, and cost the flow next to nothing.
Rich's own redirection draws anew at each print, and puts the printing thread into the drawing;
so the streams are replaced by :class:`Prints`, where a print is an append, and the display's thread
takes what has come when it draws next. Pieces of a line wait for its end (``print`` hands its values
over one by one, and other threads print as well); until then they are seen in the picture.

A forked child has a copy of that list which nobody reads: it writes to a socket instead.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import socket
import sys
import threading
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from flowdeck.output.whole_lines import Lines, WholeLines
from flowdeck_app.cli.asking.prompting import Prompter, can_prompt
from flowdeck_app.cli.following import Speakers
from flowdeck_app.cli.output import stream_look
from flowdeck_app.reports.progress import progress
from flowdeck_store.read.reader import Reader
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import ConsoleOptions

    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

INTERVAL = 0.1
LOG_LINES = 5
RUNNING_LINES = 4
#: Of printed lines that have no end yet.
HALF_LINES = 2
#: Characters of one message from a forked child, and seconds that the child waits for room.
DATAGRAM = 16 * 1024
CHILDS_PATIENCE = 1.0


class Frame:
    """Reads what the display shows of a run."""

    def __init__(self, reader: Reader, run: FlowRunRecord) -> None:
        self._reader = reader
        self._speakers = Speakers(reader, run)

    def draw(self, run: FlowRunRecord, console: Console, halves: Sequence[str] = ()) -> Group:
        """Return the display of a run as it stands.

        Args:
            run: it.
            console: to be drawn on.
            halves: printed lines that have no end yet: above the picture, where they will stand.
        """
        seen = dataclasses.replace(stream_look(sys.stderr), width=console.width)
        running: list[TaskRunRecord] = []
        if not run.is_final:
            running = self._reader.tasks(
                run.id, "state:running", order="start", limit=RUNNING_LINES
            )
        own = self._reader.progress(run.id)
        asks = self._reader.open_questions(run.id) if run.asks else []
        logs = self._speakers.with_names(self._reader.logs(run.id, limit=LOG_LINES, tail=True))
        room = console.width - 1
        said = [one_line(half.rpartition("\r")[2][-room:], room) for half in halves[-HALF_LINES:]]
        lines = [*said, *progress(run, running, own, logs, seen, asks)][
            : max(3, console.height - 1)
        ]
        # Text.from_ansi, never markup: names and messages are anybody's.
        return Group(*(Text.from_ansi(line, no_wrap=True, overflow="ellipsis") for line in lines))


def live_console() -> Console:
    """Return a console on stderr that draws as the settings say."""
    seen = stream_look(sys.stderr)
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


class Children:
    """The way to the display for what forked children print: a datagram is a text."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._here.setblocking(False)
        self._there.settimeout(CHILDS_PATIENCE)

    def send(self, text: str) -> None:
        """In a child.

        Raises:
            OSError: the display is over, or hangs.
        """
        for start in range(0, len(text), DATAGRAM):
            self._there.send(text[start : start + DATAGRAM].encode("utf-8", "surrogatepass"))

    def texts(self) -> Iterator[str]:
        """Return what has arrived."""
        with contextlib.suppress(OSError):  # no more, for now
            while True:
                yield self._here.recv(4 * DATAGRAM).decode("utf-8", "surrogatepass")

    def close(self) -> None:
        self._here.close()
        self._there.close()


class Prints(WholeLines):
    """Stands for stdout or stderr: what is printed is kept until the next picture is drawn.

    Printing costs the flow an append, not a redraw.

    Args:
        stream: what it stands for.
        lines: where pieces go.
        children: the way of what is printed in forked children.
    """

    def __init__(self, stream: TextIO, lines: Lines, children: Children) -> None:
        super().__init__(stream, lines)
        self._children = children
        self._is_in_child = False

    def start_anew(self) -> None:
        self._is_in_child = True
        self._lines = Lines(self._send)

    def _send(self, text: str) -> None:
        try:
            self._children.send(text)
        except OSError:  # nobody draws any more
            self._stream.write(text)
            self._stream.flush()

    def flush(self) -> None:
        """Nothing to do: the display looks ten times a second. A child may be at its end."""
        if self._is_in_child:
            self._lines.flush()

    def isatty(self) -> bool:
        return True


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
        self._lines = Lines(self._printed.append)
        self._children = Children()
        self._streams = sys.stdout, sys.stderr
        self._live = open_live(live_console(), redirect=False)
        self._thread = threading.Thread(target=self._work, name="flowdeck-display", daemon=True)

    def __enter__(self) -> Self:
        self._live.start()
        if sys.stdout.isatty():  # a pipe gets the flow's prints as they are
            sys.stdout = Prints(sys.stdout, self._lines, self._children)
        sys.stderr = Prints(sys.stderr, self._lines, self._children)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._streams
        self._stop.set()
        self._thread.join(timeout=2.0)
        with contextlib.suppress(OSError):  # the terminal may have gone
            self._lines.end()
            self._show_prints()
            self._live.stop()
        self._children.close()

    def _work(self) -> None:
        # A display that cannot read must never disturb the run: it just shows nothing more.
        try:
            with Reader.open(self._home) as reader:
                self._show(reader)
        except OSError:  # no terminal, nothing to show
            return
        except Exception as error:
            self._live.console.print(one_line(f"flowdeck: no live display: {error}"))
        while not self._stop.wait(INTERVAL):
            self._show_prints()

    def _show(self, reader: Reader) -> None:
        frame: Frame | None = None
        prompter = Prompter(self._home, reader, self._stop, self._write, self._show_prints)
        while not self._stop.wait(INTERVAL):
            self._show_prints()
            run = reader.run_by_uid(self._uid)
            if run is None:
                continue
            frame = frame or Frame(reader, run)
            if run.asks and can_prompt():
                self._prompt(reader, prompter, run)
                continue
            self._live.update(self._drawn(frame, run), refresh=True)

    def _prompt(self, reader: Reader, prompter: Prompter, run: FlowRunRecord) -> None:
        """Take the picture away, and let the terminal be typed on."""
        asks = reader.open_questions(run.id)
        if not asks:
            return
        self._live.stop()
        try:
            prompter.ask(asks[0])
        finally:  # another one: that one would go up by as many lines as it had drawn
            self._live = open_live(self._live.console, redirect=False)
            self._live.start()

    def _write(self, text: str) -> None:
        self._live.console.print(_Raw(text), end="", crop=False)

    def _drawn(self, frame: Frame, run: FlowRunRecord) -> Group:
        return frame.draw(run, self._live.console, self._lines.halves())

    def _show_prints(self) -> None:
        """Put what was printed above the live region, which begins at the start of a line."""
        self._printed.extend(self._children.texts())
        parts = []
        while self._printed:
            part = self._printed.popleft()
            parts.append(part if part.endswith("\n") else f"{part}\n")
        if parts:
            self._live.console.print(_Raw("".join(parts)), end="", crop=False)
