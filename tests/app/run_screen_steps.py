"""What tests of the run screen do first: open a run, go to a tab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app_harness import settle

from flowdeck_app.screens.run.screen import RunScreen

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp


async def opened(app: FlowdeckApp, pilot: Pilot[Any], run_id: int) -> RunScreen:
    """Open a run and wait until everything of its first tab is there."""
    app.open_run(run_id)
    await settle(pilot, lambda: isinstance(app.screen, RunScreen))
    screen = app.screen
    assert isinstance(screen, RunScreen)
    await settle(pilot, lambda: screen.table.loaded and screen.run is not None)
    await settle(pilot, lambda: bool(screen.groups) or not screen.run.n_tasks)  # type: ignore[union-attr]
    if screen.preview.display and screen.table.count:
        await settle(pilot, lambda: screen.preview.log_view.loaded)
    return screen


async def to_tab(screen: RunScreen, pilot: Pilot[Any], tab: str) -> None:
    """Go from tab to tab, as a user does."""
    while screen.tab != tab:
        await pilot.press("right_square_bracket")
    await pilot.pause()
    await pilot.pause()
