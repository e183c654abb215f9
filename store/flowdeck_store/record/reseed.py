"""What a session must be able to say again when its store is deleted or replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_store.events import (
    CACHE,
    KIND,
    NO,
    RUN,
    STATE,
    STATE_CODE,
    STATE_NAME,
    TASK_DEF,
    TASK_DEF_KEY,
    UID,
    is_whole,
)
from flowdeck_store.states import is_final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowdeck_store.events import Event

_RARE: Final = frozenset({RUN, TASK_DEF, CACHE})


class Reseed:
    """Keeps the definitions and, of runs that have not ended, their start and newest state.

    Args:
        on_stored_cache: called with each CACHE event that is in the store now.
    """

    def __init__(self, on_stored_cache: Callable[[Event], None]) -> None:
        self._definitions: dict[str, tuple[int, Event]] = {}
        self._runs: dict[str, list[tuple[int, Event]]] = {}  # the RUN event, the newest STATE
        self._on_stored_cache = on_stored_cache

    def note_committed(self, events: Sequence[Event], first: int) -> None:
        """Take in events that were committed; the first is record number ``first``."""
        for index, event in enumerate(events, first):
            kind = event[KIND]
            if kind == STATE:
                if event[NO : NO + 1] == (0,):
                    self._note_state(index, event)
            elif kind in _RARE and is_whole(event):
                self._note_rare(index, event)

    def live_runs(self) -> list[str]:
        """Return the uids of runs that were committed and have not ended."""
        return list(self._runs)

    def events_before(self, lowest: int) -> list[Event]:
        """Return what a new store needs to know of records below number ``lowest``."""
        found = [event for index, event in self._definitions.values() if index < lowest]
        for noted in self._runs.values():
            found += [event for index, event in noted if index < lowest]
        return found

    def _note_rare(self, index: int, event: Event) -> None:
        if event[KIND] == RUN:
            self._runs[event[UID]] = [(index, event)]
        elif event[KIND] == TASK_DEF:
            self._definitions[event[TASK_DEF_KEY]] = (index, event)
        else:
            self._on_stored_cache(event)

    def _note_state(self, index: int, event: Event) -> None:
        if not is_whole(event):
            return
        uid = event[UID]
        if is_final(event[STATE_CODE], event[STATE_NAME]):
            self._runs.pop(uid, None)
        elif uid in self._runs:
            self._runs[uid][1:] = [(index, event)]
