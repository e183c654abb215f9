"""What a replay changes of the screen of a run: whose record it reads, and what time it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from flowdeck_app.access import StoreAccess
    from flowdeck_app.screens.run.replay import Playhead, Scrubber


class Replays:
    """Mixed into the screen of a run.

    Attributes:
        playhead: the moment that is shown; ``None``: the run as it is now.
    """

    playhead: Playhead | None = None

    @property
    def _replaying_screen(self) -> Any:
        return self

    @property
    def access(self) -> StoreAccess:
        """Reads the record: as of the moment that is shown."""
        if self.playhead is not None:
            return self.playhead.access
        return cast("StoreAccess", self._replaying_screen.app.access)

    @property
    def moment_us(self) -> int | None:
        """The moment that is shown; ``None``: now."""
        return None if self.playhead is None else self.playhead.us

    def on_scrubber_moved(self, message: Scrubber.Moved) -> None:
        """Show another moment, or the run as it is now."""
        message.stop()
        screen = self._replaying_screen
        changed, self.playhead = self.playhead is not message.playhead, message.playhead
        screen.reload()
        if changed:
            screen.refresh_bindings()
            if message.playhead is None:
                screen.body.focus_rows()
