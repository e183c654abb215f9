"""What screens and widgets ask of the app that they run in.

The app knows its screens, so no screen may know the app: it would be a circle. What a screen needs
of it is written down here, below both; that :class:`~flowdeck_app.app.FlowdeckApp` has all of it is
checked where it is defined. A widget that needs it says ``app: HostApp``, for the checker only:
Textual's own ``app`` is any app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.app import App

    from flowdeck_app.access import StoreAccess
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.pictures import Pictures
    from flowdeck_app.drawing.signs import Symbols
    from flowdeck_app.drawing.times import TimeMode
    from flowdeck_app.live import StoreHealth
    from flowdeck_app.ui_state import UiState


class Host(Protocol):
    """The services of the app.

    Attributes:
        home: flowdeck's home folder.
        folder: where the app was started.
        symbols: the signs to draw with.
        pictures: how pictures are drawn on this terminal.
        clock: the time now, in microseconds since the epoch.
        access: reads the record, off the event loop.
        state: what is remembered from one start to the next.
        record_name: what the user calls the record; ``""``: nothing.
        store_version: counts the changes of the record that the app has heard of.
    """

    home: Path
    folder: Path
    symbols: Symbols
    pictures: Pictures
    clock: Callable[[], int]
    access: StoreAccess
    state: UiState
    record_name: str
    store_version: int

    @property
    def look(self) -> Look:
        """Clock, signs, zone and time mode of this moment."""

    @property
    def store_health(self) -> StoreHealth:
        """How the record answers."""

    def set_theme(self, name: str) -> None:
        """Show another theme and remember it."""

    def set_times(self, mode: TimeMode) -> None:
        """Show times another way and remember it."""

    # -- the record ------------------------------------------------------------------------

    def watch_closely(self, live: bool) -> None:
        """Say whether what is visible goes on: news then comes within a tenth of a second."""

    def expect_change(self) -> None:
        """Look for news now: something has just been launched or cancelled."""

    # -- going places ----------------------------------------------------------------------

    def show_mode(self, name: str) -> None:
        """Show Home or Runs where they were left."""

    def open_run(self, run_id: int) -> None:
        """Open the screen of a flow run."""

    def open_sweep(self, name: str) -> None:
        """Open the table of a sweep."""

    def open_task(self, run_id: int, no: int) -> None:
        """Open the screen of a task run; number 0 is the flow function itself."""

    def open_launch(self, flow: str | None = None, **given: Any) -> None:
        """Open the launch dialog; the arguments are those of ``LaunchScreen``."""

    def open_record(self, home: Path) -> None:
        """Go on with another record."""

    def back_to(self, levels: int) -> None:
        """Leave ``levels`` screens of the present mode; the first one stays."""

    # -- saying and asking -----------------------------------------------------------------

    def say(self, text: str, severity: str = "information", *, seconds: float = 4) -> None:
        """Show one line for a moment."""

    def show_message(self, title: str, text: str, *, error: bool = False) -> None:
        """Show a text of any length in a dialog that can be copied from."""

    def show_error(self, title: str, error: BaseException) -> None:
        """Show an error in such a dialog."""

    def confirm(
        self, question: str, act: Callable[[], object], *, detail: str = "", yes: str = "Yes",
        danger: bool = False,
    ) -> None:  # fmt: skip
        """Ask, and call ``act`` if the answer is yes."""

    # -- taking out ------------------------------------------------------------------------

    def copy(self, text: str, what: str = "") -> None:
        """Copy a text to the clipboard and say so."""

    def edit(self, file: str, line: int = 1) -> None:
        """Open a file in the user's editor at a line."""

    def debug_task(self, ref: str) -> None:
        """Run a task again in the debugger, in the app's place."""

    def page(self, text: str) -> None:
        """Show a text in the user's pager."""

    def action_app_copy_selection(self) -> None:
        """Copy the selected text, or say how to quit."""

    def action_app_suspend(self) -> None:
        """Go back to the shell."""


if TYPE_CHECKING:

    class HostApp(Host, App[int]):
        """A Textual app that is a :class:`Host`."""
