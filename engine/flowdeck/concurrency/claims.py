"""A claim to slots of limits, from the first look to the last: what is asked, told, and waited for.

Claims of one process to the same limits stand in line: only the first one asks the store now and then
(another process may have given a slot back), the others are woken when it is their turn. So a thousand
coroutines that wait keep the store no busier than one.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from flowdeck.concurrency import records
from flowdeck.definitions.definition import seconds_of
from flowdeck.exceptions import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
)
from flowdeck.logging import INFO, WARNING, get_logger, line, setup
from flowdeck.threads import active
from flowdeck_store import clock
from flowdeck_store.errors import StoreBusy, StoreError
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from flowdeck_store.record.blocks import Answer, Block, SlotSession

#: Seconds between two looks for a free slot by the first in a line, and by those behind it.
_LOOK: Final = 0.2
_SAFETY: Final = 1.0
#: Seconds after which it is told that a claim waits: in passing, and as what may be wrong.
_TOLD_AFTER: Final = ((2.0, INFO), (30.0, WARNING))
_HOLDERS_TOLD: Final = 3

_lock: Final = threading.Lock()
_lines: Final[dict[tuple[Path, tuple[str, ...]], deque[Claim]]] = {}
#: Names of which it was told that there is no such limit.
_absent: Final[set[tuple[Path, str]]] = set()


class Claim:
    """What one block, or one call, wants.

    Args:
        names: of limits.
        occupy: slots of each.
        timeout_seconds: how long to wait for them.
        strict: a limit that does not exist is an error.
        at_rate: slots that come free by themselves.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: an argument makes no sense.
    """

    def __init__(
        self,
        names: str | Iterable[str],
        occupy: int = 1,
        timeout_seconds: float | None = None,
        *,
        strict: bool = False,
        at_rate: bool = False,
    ) -> None:
        self._names = checked_names(names)
        if isinstance(occupy, bool) or not isinstance(occupy, int):
            raise TypeError(f"`occupy` must be a whole number of slots, not {occupy!r}.")
        if occupy < 1:
            raise ValueError(f"`occupy` must be 1 or more, not {occupy}.")
        if timeout_seconds is not None:
            timeout_seconds = seconds_of("timeout_seconds", timeout_seconds)
        if timeout_seconds is not None and timeout_seconds < 0:
            raise ValueError(f"`timeout_seconds` must be 0 or more, not {timeout_seconds}.")
        self._occupy, self._timeout, self._strict = occupy, timeout_seconds, strict
        self._at_rate = at_rate
        #: Ends a wait; called on any thread.
        self.wake: Callable[[], object] = lambda: None
        self._session: SlotSession | None = None
        self._block: Block | None = None
        self._line: tuple[Path, tuple[str, ...]] | None = None
        self._since = 0.0
        self._told = 0
        self._run = active.current_run()
        self._home: Path | None = None

    # -- taking -----------------------------------------------------------------------------------

    def behind(self) -> float | None:
        """Return seconds to wait for if others are ahead of this claim; needs no store."""
        if self._line is None:
            return None
        with _lock:
            is_first = _lines[self._line][0] is self
        return None if is_first or self._time_is_up() else self._bounded(_SAFETY)

    def begin(self) -> bool:
        """Say whether there is anything to wait for; called before the first :meth:`look`.

        Raises:
            ConcurrencySlotAcquisitionError: the record cannot be reached from here.
        """
        return self._block is not None or self._begin()

    def look(self) -> float | None:
        """Take the slots if they are free.

        Returns:
            ``None`` if the claim is met; else the seconds after which to look again, unless
            :attr:`wake` is called before.

        Raises:
            ConcurrencySlotAcquisitionError: it will not be met (in time).
        """
        if not self.begin():
            return None
        seconds = self._wait_in_line()
        if seconds is None:
            answer = self._ask()
            if answer is None or not answer.full:
                self._leave()
                return None
            seconds = answer.seconds or _LOOK
            self._join()
            self._tell(answer)
        if self._time_is_up():
            raise AcquireConcurrencySlotTimeoutError(
                f"{self._wanted()} did not come free within {self._timeout:g} seconds"
                f"{self._held_by(self._names)}."
            )
        return self._bounded(seconds)

    def give_back(self) -> None:
        """Give back what was taken, or the place in the line; also more than once."""
        self._leave()
        if self._session is None or self._block is None or self._at_rate:
            return
        self._session.give_back(self._block.token)
        with _lock:
            for key, waiting in _lines.items():
                if key[0] == self._home and not set(key[1]).isdisjoint(self._names):
                    waiting[0].wake()

    def _begin(self) -> bool:
        from flowdeck_store.record.blocks import NO_RUN, Block

        self._since = clock.monotonic()
        self._home = records.home_of(self._run)
        if self._home is None:  # nothing is kept, nobody has set a limit
            return False
        run = self._run
        uid = run.info.uid if run is not None else ""
        place = (uid, run.no) if uid else (NO_RUN, 0)
        self._block = Block(
            self._names, self._occupy, place, os.urandom(8).hex(), strict=self._strict
        )
        return True

    def _ask(self) -> Answer | None:
        """Return what the store says; ``None``: it cannot be asked, which must not stop a flow."""
        from flowdeck_store.record.blocks import Answer, Unobtainable

        assert self._home is not None
        assert self._block is not None
        try:
            if self._session is None:
                self._session = records.session(self._home)
            take = self._session.take_at_rate if self._at_rate else self._session.take
            answer = take(self._block)
        except Unobtainable as never:
            raise ConcurrencySlotAcquisitionError(str(never)) from None
        except StoreBusy:
            return Answer(self._names)
        except (StoreError, OSError) as error:
            self._log(WARNING, f"The record cannot be asked for slots, so none is taken: {error}")
            return None
        self._say_what_is_absent(answer)
        return answer

    # -- the line ---------------------------------------------------------------------------------

    def _wait_in_line(self) -> float | None:
        """Return seconds to wait for if others came first."""
        if self._line is not None:
            return self.behind()
        assert self._home is not None
        with _lock:
            is_long = (self._home, self._names) in _lines
        if not is_long:
            return None
        self._join()
        return _SAFETY

    def _join(self) -> None:
        assert self._home is not None
        if self._line is None:
            with _lock:
                self._line = self._home, self._names
                _lines.setdefault(self._line, deque()).append(self)

    def _leave(self) -> None:
        if self._line is None:
            return
        with _lock:
            waiting = _lines[self._line]
            was_first = waiting[0] is self
            waiting.remove(self)
            if not waiting:
                del _lines[self._line]
            elif was_first:  # the next one may fit beside it
                waiting[0].wake()
            self._line = None

    # -- time and words ---------------------------------------------------------------------------

    def _time_is_up(self) -> bool:
        return self._timeout is not None and clock.monotonic() >= self._since + self._timeout

    def _bounded(self, seconds: float) -> float:
        if self._timeout is not None:
            left = self._since + self._timeout - clock.monotonic()
            seconds = min(seconds, max(left, 0.001))
        return min(seconds, _SAFETY)

    def _wanted(self) -> str:
        names = ", ".join(repr(one_line(name, 80)) for name in self._names)
        many = len(self._names) > 1
        slots = "a slot" if self._occupy == 1 else f"{self._occupy} slots"
        return f"{slots} of the limit{'s' * many} {names}".capitalize()

    def _tell(self, answer: Answer) -> None:
        """Say that the claim waits: after some seconds, and again when it is long."""
        if self._told >= len(_TOLD_AFTER):
            return
        after, level = _TOLD_AFTER[self._told]
        waited = clock.monotonic() - self._since
        if waited < after:
            return
        self._told += 1
        names = ", ".join(repr(one_line(name, 80)) for name in answer.full)
        text = f"Has waited for {waited:.0f} seconds for {self._wanted()[0].lower()}{self._wanted()[1:]}"
        text += f"; {names} is full" if len(self._names) > 1 else ""
        text += f": free in {answer.seconds:.1f} seconds" if answer.seconds else ""
        self._log(level, f"{text}{self._held_by(answer.full)}.")

    def _held_by(self, names: tuple[str, ...]) -> str:
        if self._at_rate or self._home is None:
            return ""
        from flowdeck.stalls.holders import where_of, who_holds
        from flowdeck_store.upkeep.slot_holders import slot_holders

        try:
            holders = slot_holders(self._home, names)
        except Exception:  # locked, or not there: then the sentence is shorter
            return ""
        shown = [f"{who_holds(one)}{where_of(one)}" for one in holders[:_HOLDERS_TOLD]]
        more = len(holders) - len(shown)
        rest = [f"{more} more"] if more else []
        return f", held by {', '.join([*shown, *rest])}" if shown else ""

    def _say_what_is_absent(self, answer: Answer) -> None:
        assert self._home is not None
        for name in answer.absent:
            if (self._home, name) not in _absent:
                _absent.add((self._home, name))
                option = " --per-second 1" if self._at_rate else ""
                self._log(
                    WARNING,
                    f"There is no limit {one_line(name, 80)!r}, so nothing waits for it: "
                    f"`flowdeck config limit {one_line(name, 80)} 4{option}` sets one.",
                )

    def _log(self, level: int, text: str) -> None:
        if self._run is not None and self._run.info.uid:
            line(self._run, level, text)
        else:
            setup()  # a program without flows has nobody else who does
            get_logger("concurrency").log(level, "%s", text)


def checked_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return names of limits, each once.

    Raises:
        TypeError: one is no text.
        ValueError: there is none.
    """
    if not hasattr(names, "__iter__"):
        raise TypeError(f"The name of a limit is a text such as 'database', not {names!r}.")
    found = (names,) if isinstance(names, str) else tuple(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"The name of a limit is a text such as 'database', not {name!r}.")
    if not found or not all(found):
        raise ValueError("Name the limit: `concurrency('database')`.")
    return tuple(dict.fromkeys(found))
