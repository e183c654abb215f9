"""The terminal app: modes, screens, the live record, and the services that screens use."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import work
from textual.scrollbar import ScrollBar

from flowdeck_app import keys
from flowdeck_app.access import StoreAccess
from flowdeck_app.actions import bindings
from flowdeck_app.drawing import theme
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.pictures import BLOCKS, Pictures
from flowdeck_app.drawing.signs import symbols
from flowdeck_app.drawing.times import TimeMode
from flowdeck_app.live import Health, HealthChanged, LiveFeed, StoreChanged, StoreHealth, has_record
from flowdeck_app.screen_table import screen_class, screen_exists
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.services import AppServices
from flowdeck_app.terminal.stylesheet import KeptStylesheet
from flowdeck_app.ui_state import UiState
from flowdeck_app.widgets.guard import may
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.scrollbar import PlainScrollBar
from flowdeck_store.file.paths import StorePaths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

    from textual.binding import BindingType

    from flowdeck_app.host import Host

#: Seconds between two looks at the clock (stale store, remembered state).
_CLOCK: Final = 1.0
_READABLE: Final = frozenset({Health.LIVE, Health.READ_ONLY})


class FlowdeckApp(AppServices, inherit_bindings=False):
    """The app over one home folder.

    Args:
        home: flowdeck's home folder; the store in it may not exist yet.
        ascii_only: draw with ASCII signs only.
        clock: the time now in microseconds since the epoch; tests replace it.
        zone: time zone of shown times; ``None``: the computer's.
        folder: where the app was started: flows are looked for from here.
        keymap: the user's keys, action id to key.
        theme_name: theme to begin with while none is remembered.
        first_run: number of a run to open at once.
        pictures: how pictures are drawn on this terminal.
        record_name: what the user calls this record, beside flowdeck's own name.
        remember: read and write the remembered state.
        watch: run the thread that watches the store.
    """

    TITLE = "flowdeck"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - as Textual declares it
        (0, "-narrow"),
        (80, "-normal"),
        (120, "-wide"),
        (180, "-very-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - as Textual declares it
        (0, "-short"),
        (24, "-medium"),
        (45, "-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("go.home", "go.runs", "go.errors", "go.schedules", "app.*")
    ]

    def __init__(
        self,
        home: Path,
        *,
        ascii_only: bool = False,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        zone: tzinfo | None = None,
        folder: Path | None = None,
        keymap: Mapping[str, object] | None = None,
        theme_name: str | None = None,
        first_run: int | None = None,
        pictures: Pictures = BLOCKS,
        record_name: str = "",
        remember: bool = True,
        watch: bool = True,
    ) -> None:
        no_color = os.environ.get("NO_COLOR")
        super().__init__()
        if no_color is not None:  # Textual takes it away; what we start should see it
            os.environ["NO_COLOR"] = no_color
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        self.log_file = home / "app.log"
        self.home, self.folder = home, folder if folder is not None else Path.cwd()
        self.symbols, self.pictures = symbols(ascii_only), pictures
        self._scrollbar = ScrollBar.renderer
        if ascii_only:
            ScrollBar.renderer = PlainScrollBar
        self.set_class(ascii_only, "-ascii")
        self.clock, self.zone = clock, zone
        self.state = UiState.load(home) if remember else UiState()
        self.times = _time_mode(self.state.get("times", default=""))
        self._first_run = first_run
        self.record_name = record_name
        self.next_home: Path | None = None
        self._keys = keys.resolve(keymap or {})
        self.access = StoreAccess(home)
        self.live: LiveFeed | None = LiveFeed(home, self.post_message) if watch else None
        self.store_version = 0
        self._health, self._had_record = Health.LIVE, has_record(home)
        for known in theme.THEMES:
            self.register_theme(known)
        wanted = self.state.get("theme", default=theme_name or theme.DARK)
        self.theme = wanted if wanted in self.available_themes else theme.DARK
        for name in ("home", "runs", "errors", "schedules"):
            if screen_exists(name):
                self.add_mode(name, lambda name=name: screen_class(name)())  # type: ignore[misc]

    # -- what things look like -------------------------------------------------------------

    @property
    def look(self) -> Look:
        """Clock, signs, zone and time mode of this moment."""
        shown = self.visible_screens() if self.is_running else []
        moment = getattr(shown[0], "moment_us", None) if shown else None
        now = self.clock() if moment is None else moment
        return Look(now, self.symbols, self.zone, self.times)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every theme the colours of states."""
        return theme.variables_for(self.current_theme)

    def set_theme(self, name: str) -> None:
        """Show another theme and remember it."""
        self.theme = name
        self.state.remember("theme", value=name)

    def set_times(self, mode: TimeMode) -> None:
        """Show times another way and remember it."""
        self.times = mode
        self.state.remember("times", value=mode.value)
        self.screen.refresh(layout=True)
        for view in self.screen.query(LineView):
            view.redraw()
        if isinstance(self.screen, FlowdeckScreen):
            self.screen.ages_pass()

    # -- life ------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Apply the keymap, start watching, show the first screen."""
        self.set_keymap(self._keys.keys)
        for problem in self._keys.problems:
            self.say(problem, "warning", seconds=10)
        if self.live is not None:
            self.live.start()
        self.leave_on_signals()
        self.set_interval(_CLOCK, self._tick)
        first = self.state.get("mode", default="home")
        self.show_mode(first if first in self._modes else "home")
        if self._first_run is not None:
            self.call_after_refresh(self.open_run, self._first_run)

    async def on_unmount(self) -> None:
        """Stop the threads and write what is to be remembered."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        ScrollBar.renderer = self._scrollbar
        if self.live is not None:
            self.live.stop()
        self.access.close()
        self.state.save()

    def _tick(self) -> None:
        if self.live is not None:
            self.live.check_stale()
            if self.live.store.health is Health.STALE:
                self._show_health(self.live.store)
        if self.state.dirty:
            self._save_state()

    @work(thread=True, exclusive=True, exit_on_error=False, group="state")
    def _save_state(self) -> None:
        self.state.save()

    # -- the record ------------------------------------------------------------------------

    @property
    def store_health(self) -> StoreHealth:
        """How the record answers."""
        return self.live.store if self.live is not None else StoreHealth(Health.LIVE)

    def on_store_changed(self, message: StoreChanged) -> None:
        """Pass news on to the visible screens; hidden ones catch up when they appear."""
        self.store_version += 1
        for screen in self.visible_screens():
            screen.hear_news(message)

    def on_health_changed(self, message: HealthChanged) -> None:
        """Show how the record answers; say it in full when it cannot be read, and read it again
        when it can."""
        before, now = self._health, message.store.health
        had, self._had_record = self._had_record, now is not Health.MISSING
        self._health = now
        self._show_health(message.store)
        if now in {Health.CORRUPT, Health.NEWER}:
            self.show_message("The record cannot be read", message.store.message, error=True)
        elif now is Health.MISSING and had:
            self.say(f"The record {StorePaths(self.home).db} is gone; the next run makes a new one",
                     "warning", seconds=10)  # fmt: skip
        elif now in _READABLE and before not in _READABLE:
            self.on_store_changed(StoreChanged(reset=True))  # what could not be read is read now

    def _show_health(self, store: StoreHealth) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, FlowdeckScreen):
                screen.show_health(store)

    def visible_screens(self) -> list[FlowdeckScreen]:
        """Return the top full screen, also when a dialog lies over it."""
        full = [screen for screen in self.screen_stack if isinstance(screen, FlowdeckScreen)]
        return full[-1:]

    def watch_closely(self, live: bool) -> None:
        """Say whether what is visible goes on: news then comes within a tenth of a second."""
        if self.live is not None:
            self.live.set_eager(live)

    def expect_change(self) -> None:
        """Look for news now (a screen has just launched or cancelled something)."""
        if self.live is not None:
            self.live.check_soon()

    # -- going places ----------------------------------------------------------------------

    def show_mode(self, name: str) -> None:
        """Show Home or Runs where they were left; from within, the screen itself."""
        if name == self.current_mode:
            self.back_to(len(self.screen_stack) - 1)
        elif name in self._modes:
            self.switch_mode(name)
            self.state.remember("mode", value=name)

    def open_run(self, run_id: int) -> None:
        """Push the screen of a flow run."""
        self._push("run", run_id)

    def open_sweep(self, name: str) -> None:
        """Push the table of a sweep."""
        self._push("sweep", name)

    def open_task(self, run_id: int, no: int) -> None:
        """Push the screen of a task run."""
        self._push("task", run_id, no)

    def open_launch(self, flow: str | None = None, **given: Any) -> None:
        """Open the launch dialog; the arguments are those of ``LaunchScreen``."""
        self._push("launch", flow, **given)

    def _push(self, name: str, *args: object, **given: object) -> None:
        if screen_exists(name):
            self.push_screen(screen_class(name)(*args, **given))

    def open_record(self, home: Path) -> None:
        """Go on with another record: this app ends in order, and one on that record begins.

        What still has to be done in this one (a deletion that can be undone for some seconds) is done
        here: nothing ever changes the folder under a screen.
        """
        self.next_home = home
        self.exit(0)

    def back_to(self, levels: int) -> None:
        """Leave ``levels`` screens of the present mode; the first one stays."""
        for _ in range(min(levels, len(self.screen_stack) - 1)):
            self.pop_screen()

    # -- actions ---------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ask the guards of the action registry; hide the way to where one is."""
        if action in {"go_home", "go_runs", "go_errors", "go_schedules"}:
            name = action.removeprefix("go_")
            there = name == self.current_mode and len(self.screen_stack) == 1
            return name in self._modes and not there
        return may(self, action)

    def action_go_home(self) -> None:
        """Show Home."""
        self.show_mode("home")

    def action_go_runs(self) -> None:
        """Show the history of runs."""
        self.show_mode("runs")

    def action_go_errors(self) -> None:
        """Show what failed, as groups."""
        self.show_mode("errors")

    def action_go_schedules(self) -> None:
        """Show what starts by the clock."""
        self.show_mode("schedules")

    def action_app_palette(self) -> None:
        """Open the command palette."""
        from flowdeck_app.palette import Palette  # not needed for the first frame

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())

    def action_app_help(self) -> None:
        """Open the help of this screen."""
        from flowdeck_app.screens.help import HelpScreen, help_title  # as above

        self.push_screen(HelpScreen(self.screen.active_bindings, help_title(self.screen)))

    def action_app_copy_selection(self) -> None:
        """Copy the selected text, or say how to quit."""
        views = [view for view in self.screen.selections if isinstance(view, LineView)]
        if views:
            self._copy_selected(views[0])
        elif text := self.screen.get_selected_text():
            self.copy(text)
        else:
            self.say("Nothing is selected. q quits; runs go on.")

    @work(group="copy", exit_on_error=False)
    async def _copy_selected(self, view: LineView[Any]) -> None:
        text = await view.selected_text()
        lines = text.count("\n") + 1
        self.copy(text, f"{lines} lines" if lines > 1 else "")

    async def action_app_quit(self) -> None:
        """Leave; runs go on."""
        self.exit(0)


if TYPE_CHECKING:
    _HOST: type[Host] = FlowdeckApp  # it has all that screens ask of it


def _time_mode(name: str) -> TimeMode:
    return TimeMode(name) if name in {mode.value for mode in TimeMode} else TimeMode.RELATIVE
