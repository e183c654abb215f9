"""What every screen may ask of the app: say, ask, show, copy, edit, page."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

from textual import work

from flowdeck.settings import get_settings
from flowdeck_app.drawing.cells import clean
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.screens.parts.message import MessageScreen
from flowdeck_app.terminal import clipboard, debugger, editor
from flowdeck_app.terminal.in_terminal import InTerminal
from flowdeck_app.ui_state import UiState

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds in which the same toast is not shown again.
_SAME_TOAST: Final = 3.0


class AppServices(InTerminal, inherit_bindings=False):
    """The app's services; :class:`~flowdeck_app.app.FlowdeckApp` is made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.state = UiState()
        self._toasts: dict[str, float] = {}

    def say(self, text: str, severity: str = "information", *, seconds: float = 4) -> None:
        """Show one line for a moment; the same line is not shown twice in a row."""
        text = clean(text, 300)
        now = time.monotonic()
        if now - self._toasts.get(text, float("-inf")) < _SAME_TOAST:
            return
        self._toasts = {text: now}
        self.notify(text, severity=severity, timeout=seconds, markup=False)  # type: ignore[arg-type]

    def show_message(self, title: str, text: str, *, error: bool = False) -> None:
        """Show a text of any length in a dialog that can be copied from."""
        self.push_screen(MessageScreen(title, text, error=error))

    def show_error(self, title: str, error: BaseException) -> None:
        """Show an error: its message for our own, the type as well for others."""
        from flowdeck_store.errors import StoreError

        text = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        self.show_message(title, text, error=True)

    def confirm(
        self, question: str, act: Callable[[], object], *, detail: str = "", yes: str = "Yes",
        danger: bool = False,
    ) -> None:  # fmt: skip
        """Ask, and call ``act`` if the answer is yes."""
        screen = ConfirmScreen(question, detail, yes=yes, danger=danger)

        def answered(answer: bool | None) -> None:
            if answer:
                act()

        self.push_screen(screen, answered)

    def copy(self, text: str, what: str = "") -> None:
        """Copy a text to the clipboard and say so."""
        self._copy(text, what or f"{len(text)} characters")

    @work(group="copy", exit_on_error=False)
    async def _copy(self, text: str, what: str) -> None:
        self._clipboard = text
        sequence = clipboard.osc52(text, os.environ)
        if sequence is not None and self._driver is not None:
            self._driver.write(sequence)
        tool = None if self.is_headless else clipboard.native_tool(os.environ)
        done = tool is not None and await asyncio.to_thread(clipboard.give_to_tool, text, tool)
        if sequence is None and not done:
            self.say("Too long for this terminal's clipboard: use P (pager) or J (export)")
        else:
            self.say(f"Copied {what}")

    def edit(self, file: str, line: int = 1) -> None:
        """Open a file in the user's editor at a line."""
        command = editor.editor_command(file, line, editor=get_settings().editor)
        if command is None:
            self.copy(f"{file}:{line}", "the place; set $EDITOR (or the setting editor) to open it")
            return
        editor.start(self, command)

    def page(self, text: str) -> None:
        """Show a text in the user's pager."""
        editor.page(self, text)

    def debug_task(self, ref: str) -> None:
        """Run a task again in the debugger, in the app's place."""
        debugger.debug(self, get_settings().home, ref)
