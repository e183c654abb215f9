"""Keys act one after the other, also when they arrive in one burst.

A key goes to the widget with the focus, and up from there until something is bound to it: through
the queue of every widget on the way. A letter typed behind it would be in its field before the key
has come to where it acts: ``ctrl+a`` would move the cursor behind the letter that follows, and
``/abc`` would be four commands. So each key waits until the one before has acted.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from textual import events
from textual.app import App
from textual.message import Message

if TYPE_CHECKING:
    from textual.timer import Timer

#: Seconds that a key waits at most: the one before may be lost with a widget that goes away.
LONGEST: Final = 0.25


class KeyDone(Message):
    """Follows a key through the same queues, and so comes to the app behind it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class OrderedKeys(App[int], inherit_bindings=False):
    """An app in which a key acts only when the one before has."""

    def __init__(self) -> None:
        super().__init__()
        self._held: deque[events.Key] = deque()
        self._key_number = 0
        self._key_acts = False
        self._key_wait: Timer | None = None

    async def on_event(self, event: events.Event) -> None:
        """Deliver a key, or hold it until its turn has come."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._key_acts or self._held:
            self._held.append(event)
            if self._key_wait is None:
                self._wait()
        else:
            await self._deliver(event)

    async def _deliver(self, key: events.Key) -> None:
        target = self.focused or self.screen
        self._key_number += 1
        self._key_acts = True
        await super().on_event(key)
        if not target.post_message(KeyDone(self._key_number)):
            self._has_acted(self._key_number)

    def _wait(self) -> None:
        self._key_wait = self.set_timer(LONGEST, partial(self._has_acted, self._key_number))

    def on_key_done(self, message: KeyDone) -> None:
        """Let the next key go, behind what the key has put into the queue (a change of focus)."""
        self.call_later(self._has_acted, message.number)

    def _has_acted(self, number: int) -> None:
        if number != self._key_number or not self._key_acts:
            return
        self._key_acts = False
        if self._key_wait is not None:
            self._key_wait.stop()
            self._key_wait = None
        if self._held:
            self.call_next(self._deliver_held)

    async def _deliver_held(self) -> None:
        if self._held and not self._key_acts:
            await self._deliver(self._held.popleft())
            if self._held:
                self._wait()
