"""Keys act one after the other, also when they arrive in one burst.

A key goes to the widget with the focus, and up from there until something is bound to it: through
the queue of every widget on the way. A letter typed behind it would be in its field before the key
has come to where it acts: ``ctrl+a`` would move the cursor behind the letter that follows, and
``/abc`` would be four commands. So each key waits until the one before has acted.

That it has is known from a message that is sent behind it through the same queues
(:class:`KeyDone`). That message is lost with a widget that the key takes away, so a key waits for
:data:`LONGEST` at most. A key for a screen that is still being composed waits, too.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from textual.message import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual import events
    from textual.app import App
    from textual.timer import Timer

#: Seconds that a key waits at most: the one before may be lost with a widget that goes away.
LONGEST: Final = 0.25
#: Seconds between two looks whether the screen that keys are for is composed.
SOON: Final = 0.02


class KeyDone(Message):
    """Follows a key through the same queues, and so comes to the app behind it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class KeyOrder:
    """Holds the keys of an app until their turn has come.

    Args:
        app: whose keys they are.
        takes_keys: says whether the screen can be given keys; until then they wait.
        act: gives the app a key to act on.
    """

    def __init__(
        self,
        app: App[Any],
        takes_keys: Callable[[], bool],
        act: Callable[[events.Key], Awaitable[None]],
    ) -> None:
        self._app, self._takes_keys, self._act = app, takes_keys, act
        self._held: deque[events.Key] = deque()
        self._number = 0
        self._acts = False
        self._timer: Timer | None = None

    async def put_in_order(self, key: events.Key) -> None:
        """Deliver a key, or hold it until its turn has come."""
        if self._acts or self._held or not self._takes_keys():
            self._held.append(key)
            if self._timer is None:
                self._wait()
        else:
            await self._deliver(key)

    def has_come_through(self, number: int) -> None:
        """Let the next key go, behind what this one has put into the queue (a change of focus)."""
        self._app.call_later(self._has_acted, number)

    async def _deliver(self, key: events.Key) -> None:
        target = self._app.focused or self._app.screen
        self._number += 1
        self._acts = True
        await self._act(key)
        if not target.post_message(KeyDone(self._number)):
            self._has_acted(self._number)

    def _wait(self) -> None:
        if self._acts:
            self._timer = self._app.set_timer(LONGEST, partial(self._has_acted, self._number))
        else:
            self._timer = self._app.set_timer(SOON, self._try_again)

    def _try_again(self) -> None:
        self._timer = None
        self._app.call_next(self._deliver_held)

    def _has_acted(self, number: int) -> None:
        if number != self._number or not self._acts:
            return
        self._acts = False
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._held:
            self._app.call_next(self._deliver_held)

    async def _deliver_held(self) -> None:
        if self._held and not self._acts:
            if self._takes_keys():
                await self._deliver(self._held.popleft())
            if self._held and self._timer is None:
                self._wait()
