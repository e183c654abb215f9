"""Deleting runs of the history with a time to think again.

Nothing is deleted while it can be undone: the runs are only hidden by the filter. So an undo has
nothing to bring back, and a crash in between deletes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import StoreError
from flowdeck_store.upkeep import retention

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.timer import Timer

    from flowdeck_app.screens.parts.base import FlowdeckScreen

#: Seconds in which a deletion can be undone.
UNDO: Final = 10.0


class PendingDeletion:
    """The runs that are about to be deleted.

    Args:
        screen: whose workers and timers do it.
        changed: hears that other runs are hidden than before.
    """

    def __init__(self, screen: FlowdeckScreen, changed: Callable[[], object]) -> None:
        self._screen, self._changed = screen, changed
        self._timer: Timer | None = None
        self.hidden: tuple[int, ...] = ()

    @property
    def query(self) -> str:
        """The part of the filter that hides them."""
        return f"-id:{','.join(map(str, self.hidden))}" if self.hidden else ""

    def begin(self, ids: tuple[int, ...]) -> None:
        """Hide runs, and delete them when the time to undo is over."""
        self._delete_hidden()
        self.hidden = ids
        self._changed()
        self._timer = self._screen.set_timer(UNDO, self._delete_hidden)

    def undo(self) -> tuple[int, ...]:
        """Show the hidden runs again; returns which."""
        if self._timer is not None:
            self._timer.stop()
        ids, self.hidden = self.hidden, ()
        self._changed()
        return ids

    def finish(self) -> None:
        """Delete at once (the app ends)."""
        ids, self.hidden = self.hidden, ()
        if ids:
            retention.delete_runs(self._screen.app.home, ids)

    def _delete_hidden(self) -> None:
        ids, self.hidden = self.hidden, ()
        if ids:
            self._screen.run_worker(self._delete(ids), group="delete", exit_on_error=False)

    async def _delete(self, ids: tuple[int, ...]) -> None:
        try:
            await asyncio.to_thread(retention.delete_runs, self._screen.app.home, ids)
        except StoreError as error:
            self._screen.app.show_error("Nothing was deleted", error)
        self._changed()
