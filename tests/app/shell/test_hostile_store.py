"""Whatever the record holds, every screen shows it as text: nothing is parsed, nothing acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_walk import check_drawn, walk
from hostile_store import TOGETHER, fill

from flowdeck_app.screens.parts.message import MessageScreen

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
AppFor = Callable[..., Any]


@pytest.mark.parametrize("ascii_only", [False, True], ids=["signs", "ascii"])
async def test_every_screen_and_tab_draws_any_text(
    app_for: AppFor, home: Path, ascii_only: bool
) -> None:
    run_id, tasks = fill(home)
    app = app_for(ascii_only=ascii_only)
    seen = []
    async with app.run_test(size=(160, 45)) as pilot:
        async for where in walk(app, pilot, run_id, tasks[:2] if ascii_only else tasks):
            check_drawn(app, where)
            assert where == "message" or not isinstance(app.screen, MessageScreen), where
            seen.append(where)
    assert ascii_only or len(seen) > 5 * len(TOGETHER)
    assert {"home", "runs", "compare", "run-graph", "run-logs", "task1-traceback"} <= set(seen)
