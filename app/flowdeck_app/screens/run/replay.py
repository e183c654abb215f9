"""The replay of a run: a line that says which moment of the record is shown, and moves it.

While it is on, the screen of the run reads through :attr:`Playhead.access`, whose record ends at that
moment (:mod:`flowdeck_store.read.replay.reader`): every view shows it without knowing of a replay.
Nothing is run again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, Final, Unpack

from textual import work
from textual.message import Message

from flowdeck_app.access import SLOW, StoreAccess
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import width
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.times import duration
from flowdeck_app.widgets.strip_widget import StripWidget
from flowdeck_store.errors import StoreError
from flowdeck_store.read.replay.history import History, read_history
from flowdeck_store.read.replay.reader import ReplayReader

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from textual.binding import BindingType
    from textual.timer import Timer

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.reader import Reader

#: Seconds of the record that one second shows.
SPEEDS: Final = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21_600)
#: Seconds in which a run is played, at most, at the speed that it begins with.
_WHOLE: Final = 30.0
#: Seconds between two moments while it plays.
_TICK: Final = 0.1
#: Cells of the line at least, beside what is said.
_LEAST: Final = 8


class Playhead:
    """The moment of a replay, and the record as it was then.

    Args:
        home: flowdeck's home folder.
        history: of the run.

    Attributes:
        us: the moment.
        turns: how often it went back.
        access: reads the record as of that moment.
    """

    def __init__(self, home: Path, history: History) -> None:
        self.history = history
        self.us = history.start_us
        self.turns = 0
        self.access = StoreAccess(home, self._open, self._seek)

    def _open(self, home: Path) -> Reader:
        return ReplayReader.of(home, self.history)

    def _seek(self, reader: Reader) -> None:
        if isinstance(reader, ReplayReader):
            reader.seek(self.us)


class Scrubber(StripWidget, can_focus=True):
    """The line of a replay; not there while the run is shown as it is now.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    Scrubber { display: none; padding: 0 1; height: 1; }
    Scrubber.-on { display: block; }
    Scrubber:focus { background: $fd-cursor; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("replay.*")]

    class Moved(Message):
        """The moment is another; without a playhead the replay has ended."""

        def __init__(self, playhead: Playhead | None) -> None:
            super().__init__()
            self.playhead = playhead

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id = run_id
        self.playhead: Playhead | None = None
        self.playing = False
        self.speed = 1.0
        self._ticked = 0.0
        self._clock: Timer | None = None

    def on_mount(self) -> None:
        """Have a clock that ticks while the replay plays."""
        self._clock = self.set_interval(_TICK, self._tick, pause=True)

    # -- begin and end ---------------------------------------------------------------------

    @work(group="replay", exclusive=True, exit_on_error=False)
    async def begin(self) -> None:
        """Read the history of the run and show its first moment."""
        if self.playhead is not None:
            self.focus()
            return
        run_id = self.run_id
        try:
            history = await self.app.access.ask(lambda reader: read_history(reader, run_id), SLOW)
        except StoreError as error:
            self.app.show_error("The record cannot be replayed", error)
            return
        if not history.runs or history.end_us <= history.start_us:
            self.app.say("Nothing has happened in this run yet")
            return
        self.playhead = Playhead(self.app.home, history)
        seconds = (history.end_us - history.start_us) / 1e6
        self.speed = next((s for s in SPEEDS if s >= seconds / _WHOLE), SPEEDS[-1])
        self._set_playing(False)
        self.set_class(True, "-on")
        self.focus()
        self._show()

    def leave(self) -> bool:
        """End the replay; ``False`` if there is none."""
        if self.playhead is None:
            return False
        access = self.playhead.access
        self.playhead = None
        self._set_playing(False)
        self.set_class(False, "-on")
        self.post_message(self.Moved(None))
        self._close(access)
        return True

    @work(group="replay-end", exit_on_error=False)
    async def _close(self, access: StoreAccess) -> None:
        await asyncio.sleep(1.0)  # what is being read through it is answered first
        await asyncio.to_thread(access.close)

    def on_unmount(self) -> None:
        """Let go of the record."""
        if self.playhead is not None:
            self.playhead.access.close()

    # -- moving ----------------------------------------------------------------------------

    def _show(self) -> None:
        self.refresh()
        self.post_message(self.Moved(self.playhead))

    def seek(self, us: int) -> None:
        """Show another moment."""
        head = self.playhead
        if head is not None:
            us = max(head.history.start_us, min(us, head.history.end_us))
            if us != head.us:
                head.turns += us < head.us
                head.us = us
                self._show()

    def _set_playing(self, playing: bool) -> None:
        self.playing = playing
        self._ticked = time.monotonic()
        if self._clock is not None:
            self._clock.resume() if playing else self._clock.pause()
        self.refresh()

    def _tick(self) -> None:
        now, before = time.monotonic(), self._ticked
        self._ticked = now
        head = self.playhead
        if head is None or not self.playing or not self.screen.is_active:
            return
        self.seek(head.us + round(min(now - before, 1.0) * self.speed * 1e6))
        if head.us >= head.history.end_us:
            self._set_playing(False)

    def action_replay_play(self) -> None:
        """Play, or pause; at the end from the beginning."""
        head = self.playhead
        if head is not None:
            self._set_playing(not self.playing)
            if self.playing and head.us >= head.history.end_us:
                self.seek(head.history.start_us)

    def action_replay_back(self) -> None:
        """Go to where something happened before."""
        if self.playhead is not None:
            self._set_playing(False)
            self.seek(self.playhead.history.preceding(self.playhead.us))

    def action_replay_forward(self) -> None:
        """Go to where something happens next."""
        if self.playhead is not None:
            self._set_playing(False)
            self.seek(self.playhead.history.following(self.playhead.us))

    def _leap(self, share: float) -> None:
        head = self.playhead
        if head is not None:
            self.seek(head.us + round((head.history.end_us - head.history.start_us) * share))

    def action_replay_leap_back(self) -> None:
        """Go back by a twentieth of the run."""
        self._leap(-0.05)

    def action_replay_leap_forward(self) -> None:
        """Go on by a twentieth of the run."""
        self._leap(0.05)

    def action_replay_first(self) -> None:
        """Go to the beginning."""
        self.seek(0)

    def action_replay_faster(self) -> None:
        """Play faster."""
        self._set_speed(1)

    def action_replay_slower(self) -> None:
        """Play more slowly."""
        self._set_speed(-1)

    def _set_speed(self, step: int) -> None:
        place = SPEEDS.index(self.speed) + step
        self.speed = SPEEDS[max(0, min(place, len(SPEEDS) - 1))]
        self.refresh()

    def action_replay_live(self) -> None:
        """End the replay: the run as it is now."""
        self.leave()

    # -- drawing ---------------------------------------------------------------------------

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        head = self.playhead
        if head is None:
            return [[]]
        history, signs = head.history, look.symbols
        whole, gone = history.end_us - history.start_us, head.us - history.start_us
        sign = signs.of(Kind.RUNNING if self.playing else Kind.PAUSED)
        said = [
            Piece(f"{sign} ", SIGNS[Kind.RUNNING if self.playing else Kind.PAUSED].style),
            Piece("REPLAY of the record " if cells >= 76 else "REPLAY ", "bold $fd-accent"),
        ]
        times = f" {duration(gone / 1e6)} of {duration(whole / 1e6)}"
        told = f"{times:>19}  {signs.times}{self.speed:g}"
        room = max(_LEAST, cells - sum(width(piece.text) for piece in said) - width(told))
        return [[*said, *self._line(history, gone, whole, room, look), Piece(told, "$fd-strong")]]

    def _line(self, history: History, gone: int, whole: int, cells: int, look: Look) -> list[Piece]:
        """Return the line of time with the place of the moment, and where task runs failed."""
        failed = {(us - history.start_us) * (cells - 1) // whole for us in history.failures()}
        here = gone * (cells - 1) // whole
        signs, found = look.symbols, []
        for place in range(cells):
            us = history.start_us + place * whole // max(1, cells - 1)
            if place == here:
                found.append(Piece(signs.bar, "bold $fd-accent", us))
            elif place in failed:
                found.append(Piece(signs.of(Kind.FAILED), SIGNS[Kind.FAILED].style, us))
            elif place < here:
                found.append(Piece(signs.done, "$fd-accent", us))
            else:
                found.append(Piece(signs.rest, "$fd-line", us))
        return found

    def picked(self, key: Hashable) -> None:
        """Go to the time that was clicked."""
        if isinstance(key, int):
            self.seek(key)
