"""What a replay changes of the screen of a run: whose record it reads, and what time it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from flowdeck_app.access import StoreAccess
    from flowdeck_app.screens.run.replay import Playhead, Scrubber
    from flowdeck_app.screens.run.screen import RunScreen


class Replays:
    """Mixed into the screen of a run.

    Attributes:
        playhead: the moment that is shown; ``None``: the run as it is now.
    """

    playhead: Playhead | None = None

    @property
    def access(self) -> StoreAccess:
        """Reads the record: as of the moment that is shown."""
        app = cast("RunScreen", self).app
        return app.access if self.playhead is None else self.playhead.access

    @property
    def moment_us(self) -> int | None:
        """The moment that is shown; ``None``: now."""
        return None if self.playhead is None else self.playhead.us

    def on_scrubber_moved(self, message: Scrubber.Moved) -> None:
        """Show another moment, or the run as it is now."""
        message.stop()
        screen = cast("RunScreen", self)
        changed = self.playhead is not message.playhead
        self.playhead = message.playhead
        screen.reload()
        if changed:
            screen.body.focus_rows() if message.playhead is None else None
            screen.refresh_bindings()
