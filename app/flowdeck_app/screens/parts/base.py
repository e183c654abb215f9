"""What every screen has: breadcrumb, footer, guards, reload on news, and a least size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from flowdeck_app.actions import bindings
from flowdeck_app.events.living import Living, LivingScreen
from flowdeck_app.widgets.breadcrumb import Breadcrumb
from flowdeck_app.widgets.footer import KeyFooter
from flowdeck_app.widgets.guard import look_of, may
from flowdeck_app.widgets.lines.loading import AGE
from flowdeck_store.states import COMPLETED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.pieces import Piece
    from flowdeck_app.host import HostApp
    from flowdeck_app.live import StoreChanged, StoreHealth
    from flowdeck_store.read.records import FlowRunRecord

#: Least size that a screen is drawn for: columns, lines.
LEAST: Final = (60, 15)


class TooSmall(Living, Widget):
    """Covers a screen that has too little room."""

    DEFAULT_CSS = """
    TooSmall {
        layer: too-small; display: none; width: 100%; height: 100%;
        background: $background; color: $fd-muted; content-align: center middle;
    }
    """

    def render(self) -> Content:
        """Say how much room there must be."""
        size = self.app.size
        return Content(f"needs {LEAST[0]}x{LEAST[1]}, have {size.width}x{size.height}")


class FlowdeckScreen(LivingScreen, Screen[None], inherit_bindings=False):
    """Base of the full screens.

    Subclasses give :meth:`compose_content`, :meth:`trail` and :meth:`reload`; guards of actions
    are properties (``can_cancel``…, see :mod:`flowdeck_app.actions`).
    """

    app: HostApp  # narrower than Textual's, for the checker

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("go.back", "go.next_pane", "go.previous_pane", "view.zoom", hide=("go.back",))
    ]
    DEFAULT_CSS = """
    FlowdeckScreen {
        layers: base too-small; background: $background; color: $foreground;
        overflow: hidden;
        &.-too-small > TooSmall { display: block; }
    }
    """

    def __init__(self, name: str | None = None, id: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id)
        self._seen_version = -1

    # -- for subclasses --------------------------------------------------------------------

    def compose_content(self) -> ComposeResult:
        """Yield what stands between breadcrumb and footer."""
        yield from ()

    def trail(self) -> Sequence[str]:
        """Return the names of the levels for the breadcrumb, this screen's last."""
        return ()

    def facts(self) -> Sequence[Piece]:
        """Return pieces for the breadcrumb's right side."""
        return ()

    def reload(self) -> None:
        """Ask the store for what is shown, off the event loop. Called when the screen appears
        and when the record has changed."""

    def store_changed(self, message: StoreChanged) -> None:
        """Hear of news while visible; the default reloads."""
        self.reload()

    def step_back(self) -> bool:
        """Undo one thing on ``esc`` (close a popup, clear a filter); ``False``: nothing to undo."""
        return False

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The run that ``F`` would repeat what failed of: the one under the cursor, or its own."""
        return None

    # -- what they inherit -----------------------------------------------------------------

    @property
    def look(self) -> Look:
        """Clock, signs and time mode."""
        return look_of(self.app)

    def compose(self) -> ComposeResult:
        """Yield breadcrumb, content, footer."""
        yield Breadcrumb(self.trail())
        yield from self.compose_content()
        yield KeyFooter()
        yield TooSmall()

    def refresh_breadcrumb(self) -> None:
        """Show trail, facts and health as they are now."""
        bar = self.query_one(Breadcrumb)
        bar.trail, bar.facts = tuple(self.trail()), tuple(self.facts())
        bar.store = self.app.store_health
        bar.refresh()

    def show_health(self, store: StoreHealth) -> None:
        """Show how the record answers; a screen that is not composed yet asks when it is."""
        for bar in self.query(Breadcrumb):
            bar.store = store

    def on_mount(self) -> None:
        """Keep what is said to be so long ago right."""
        self.set_interval(AGE, self._look_at_clock)

    def _look_at_clock(self) -> None:
        if self.app.screen is self:
            self.ages_pass()

    def ages_pass(self) -> None:
        """Say anew how long ago things were; views of rows do so by themselves."""
        self.refresh_breadcrumb()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while the screen was hidden."""
        self.refresh_breadcrumb()
        if self._seen_version != self.app.store_version:
            self.catch_up()

    def catch_up(self) -> None:
        """Reload and note that this version of the record has been seen."""
        self._seen_version = self.app.store_version
        self.reload()

    def _compositor_refresh(self) -> None:
        """Draw what has changed. Textual has a screen behind a dialog draw all of itself again, and
        the dialog with it, at each of its messages from then on: every tick of a clock."""
        super()._compositor_refresh()
        if self.app.screen is not self:
            self._repaint_required = False

    def hear_news(self, message: StoreChanged) -> None:
        """Take news from the app (visible screens only); before it is mounted it has nothing to
        bring up to date, and it catches up when it appears. While the app closes its widgets go first."""
        if self.is_mounted and not self.goes and self.children:
            self._seen_version = self.app.store_version
            self.store_changed(message)

    def on_resize(self, event: events.Resize) -> None:
        """Cover the screen while it is too small."""
        self.set_class(too_small(event.size.width, event.size.height), "-too-small")

    def on_breadcrumb_picked(self, message: Breadcrumb.Picked) -> None:
        """Go back to the level that was clicked."""
        message.stop()
        trail = self.trail()
        self.app.back_to(len(trail) - 1 - message.level)
        mode = "home" if message.level < 0 else trail[0].lower()
        if message.level <= 0 and mode in self.app._modes:
            self.app.show_mode(mode)  # a run that was opened from Home also stands below Runs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ask the guards of the action registry."""
        return may(self, action)

    def _key_escape(self) -> None:
        """Leave the selection to :meth:`action_go_back`: Textual would take it away before that is
        asked, which would then also leave the screen."""

    def action_go_back(self) -> None:
        """Clear the selection, undo one thing, unzoom, or leave the screen."""
        if self.selections:
            self.clear_selection()
        elif self.step_back():
            return
        elif self.maximized is not None:
            self.minimize()
        else:
            self.app.back_to(1)

    def action_take_copy(self) -> None:
        """Copy the selected text; without one, what the focus is on."""
        if self.selections:
            self.app.action_app_copy_selection()
        else:
            self.copy_focused()

    def copy_focused(self) -> None:
        """Copy what the focus is on."""

    @property
    def can_rerun_failed(self) -> bool | None:
        """Whether the run has ended, and not well."""
        run = self.failed_run
        return run is not None and run.is_final and run.code != COMPLETED

    def action_run_from_failed(self) -> None:
        """Open the launch dialog for running only what did not complete."""
        run = self.failed_run
        if run is not None and self.can_rerun_failed:
            self.app.open_launch(run.flow_key, rerun=run, from_failed=True)

    def action_go_next_pane(self) -> None:
        """Focus the next pane."""
        self.focus_next()

    def action_go_previous_pane(self) -> None:
        """Focus the pane before."""
        self.focus_previous()

    def action_view_zoom(self) -> None:
        """Give the focused pane the whole screen, or take it back."""
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)


class FlowdeckModal(LivingScreen, ModalScreen[Any], inherit_bindings=False):
    """Base of the dialogs: a panel in the middle, ``esc`` closes without an answer."""

    app: HostApp  # narrower than Textual's, for the checker

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(
            "form.cancel", "go.next_pane", "go.previous_pane", "app.copy_selection", "app.suspend"
        )
    ]
    DEFAULT_CSS = """
    FlowdeckModal { align: center middle; background: $background 60%; }
    FlowdeckModal > .panel {
        width: 80%; max-width: 100; height: auto; max-height: 90%;
        border: round $fd-accent; border-title-color: $fd-strong; border-title-style: bold;
        border-subtitle-color: $fd-muted; background: $background; padding: 0 1;
    }
    """

    @property
    def look(self) -> Look:
        """Clock, signs and time mode."""
        return look_of(self.app)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ask the guards of the action registry."""
        return may(self, action)

    def action_form_cancel(self) -> None:
        """Close without an answer."""
        self.dismiss(None)

    def action_go_next_pane(self) -> None:
        """Focus the next field."""
        self.focus_next()

    def action_go_previous_pane(self) -> None:
        """Focus the field before."""
        self.focus_previous()

    def action_app_copy_selection(self) -> None:
        """Copy the selected text."""
        self.app.action_app_copy_selection()

    def action_app_suspend(self) -> None:
        """Go back to the shell."""
        self.app.action_app_suspend()


def too_small(width: int, height: int) -> bool:
    """Say whether a terminal is below the least size."""
    return width < LEAST[0] or height < LEAST[1]
