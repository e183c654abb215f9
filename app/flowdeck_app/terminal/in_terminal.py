"""The app as a guest of a terminal: it leaves it as it was, whoever ends the app, and can step back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.driver import Driver

from flowdeck_app.events.screen_life import LivingApp

if TYPE_CHECKING:
    from collections.abc import Iterator


class InTerminal(LivingApp, inherit_bindings=False):
    """An app that ends in order on a signal, and that ``ctrl+z`` suspends."""

    def leave_on_signals(self) -> None:
        """Leave the terminal as it was, also when something else ends the app."""
        if self.is_headless or threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT"):
            if (number := getattr(signal, name, None)) is not None:
                with contextlib.suppress(NotImplementedError, RuntimeError):
                    loop.add_signal_handler(number, partial(self.exit, None, 128 + number))

    @contextlib.contextmanager
    def stepped_back(self) -> Iterator[None]:
        """Leave the terminal to another program inside the block, and its Ctrl-C with it.

        Ctrl-C reaches every process of the terminal: it is the debugger's, editor's or pager's, and
        must not end the app. The loop, which stands still meanwhile, hears of it afterwards; so the
        app listens again only when the loop has been round once and found that nobody wants to know.

        Raises:
            SuspendNotSupported: there is no terminal to leave.
        """
        loop = asyncio.get_running_loop()
        with self.suspend():
            with contextlib.suppress(NotImplementedError, RuntimeError):
                loop.remove_signal_handler(signal.SIGINT)
            # A handler of our own, not SIG_IGN: that the other program would inherit.
            signal.signal(signal.SIGINT, lambda *_: None)
            try:
                yield
            finally:
                loop.call_soon(loop.call_soon, self.leave_on_signals)

    def get_driver_class(self) -> type[Driver]:
        """Take our own terminal where Textual's would be taken."""
        found = super().get_driver_class()
        if found.__name__ != "LinuxDriver":
            return found
        from flowdeck_app.terminal.driver import TerminalDriver

        return TerminalDriver

    @property
    def can_suspend(self) -> bool:
        """Whether there is a shell to go back to."""
        return bool(getattr(self._driver, "has_shell", False))

    @on(Driver.SignalResume)
    def _draw_again(self) -> None:
        """Draw everything: the terminal shows what others have left in it."""
        self.refresh(layout=True)

    def action_app_suspend(self) -> None:
        """Go back to the shell; its ``fg`` returns."""
        self.action_suspend_process()
