"""The app's part of :mod:`flowdeck_app.events.living`: what reaches screens, and what a fault does.

Keys wait until the screen that they are for is composed; the mouse acts only on what lives; actions
are called only on what lives; a screen is taken off the stack only while another is below it. A
fault of ours in a handler is written to a log and told; the app goes on, unless it can do nothing
else any more.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from textual import events
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.errors import NoWidget

from flowdeck_app.events.key_order import KeyOrder
from flowdeck_app.events.living import Living, lives

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType
    from textual.dom import DOMNode

    from flowdeck_app.events.key_order import KeyDone

#: So many faults within so many seconds are no accident any more: then the app ends.
FAULTS, WITHIN = 20, 10.0
#: Bytes of the log from which on it is begun anew.
LARGEST: Final = 1_000_000


class LivingApp(Living, App[int], inherit_bindings=False):
    """An app that no event can end."""

    def __init__(self) -> None:
        super().__init__()
        self.key_order = KeyOrder(self, self.takes_keys, super().on_event)
        self.log_file: Path | None = None
        self.crashed = False
        self._faults: deque[float] = deque(maxlen=FAULTS)

    # -- what reaches screens --------------------------------------------------------------

    def takes_keys(self) -> bool:
        """Say whether the screen is composed: until then keys wait."""
        return bool(self.screen_stack) and self.screen._is_mounted

    async def on_event(self, event: events.Event) -> None:
        """Let keys act one after the other, and the mouse only on what lives."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self.key_order.put_in_order(event)
        elif not isinstance(event, events.MouseEvent) or event.is_forwarded or self._reaches(event):
            await super().on_event(event)

    def on_key_done(self, message: KeyDone) -> None:
        """A key has acted: the next may go."""
        self.key_order.has_come_through(message.number)

    def _reaches(self, event: events.MouseEvent) -> bool:
        if not self.screen_stack or not lives(self.screen):
            return False
        captured = self.mouse_captured
        if captured is not None and not lives(captured):
            self.capture_mouse(None)
        try:
            widget, _ = self.get_widget_at(event.x, event.y)
        except NoWidget:
            return True
        return lives(widget)

    async def _dispatch_action(self, namespace: DOMNode, action_name: str, params: Any) -> bool:
        if not lives(namespace):
            return False
        return await super()._dispatch_action(namespace, action_name, params)

    def pop_screen(self) -> AwaitComplete:
        """Leave the screen on top; the first one stays."""
        if len(self.screen_stack) <= 1:
            return AwaitComplete()
        return super().pop_screen()

    # -- faults of ours --------------------------------------------------------------------

    def goes_on_after(self, error: Exception) -> bool:
        """Log a fault in a handler and tell of it.

        Returns:
            Whether the app goes on: not in tests (a fault is to be seen there), not while it
            starts, and not when one fault follows the other.
        """
        if self.is_headless:
            return False
        if self._exit:
            return True
        self._write_log(error)
        now = time.monotonic()
        self._faults.append(now)
        if len(self._faults) == FAULTS and now - self._faults[0] < WITHIN:
            return False
        self._tell_fault(error)
        return True

    def _tell_fault(self, error: Exception) -> None:
        text = f"Something went wrong inside flowdeck ({type(error).__name__}); see {self.log_file}"
        self.notify(text, severity="error", markup=False)

    def _handle_exception(self, error: Exception) -> None:
        """Textual's way out: go on where that is possible."""
        started = self._is_mounted and self.screen_stack and self.screen._is_mounted
        if started and self.goes_on_after(error):
            return
        if not started:
            self._write_log(error)
        self.crashed = True
        super()._handle_exception(error)

    def panic(self, *renderables: RenderableType) -> None:
        """End on a fault; Textual's exit code would be that of a user who left."""
        self.crashed = True
        super().panic(*renderables)

    def _write_log(self, error: Exception) -> None:
        if self.log_file is None or self.is_headless:
            return
        text = "".join(traceback.format_exception(error))
        mode = "a"
        try:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            if self.log_file.exists() and self.log_file.stat().st_size > LARGEST:
                mode = "w"
            with self.log_file.open(mode, encoding="utf-8", errors="backslashreplace") as file:
                file.write(
                    f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sys.version.split()[0]}\n{text}\n"
                )
        except OSError:
            self.log_file = None  # nowhere to write: the terminal must do
