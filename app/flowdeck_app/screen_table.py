"""Which class each screen is; imported when it is first shown."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen

#: Screens by name: module and class. Imported when first shown.
SCREEN_CLASSES: Final[dict[str, tuple[str, str]]] = {
    "home": ("flowdeck_app.screens.home.screen", "HomeScreen"),
    "runs": ("flowdeck_app.screens.runs.screen", "RunsScreen"),
    "errors": ("flowdeck_app.screens.errors.screen", "ErrorsScreen"),
    "schedules": ("flowdeck_app.screens.schedules.screen", "SchedulesScreen"),
    "sweep": ("flowdeck_app.screens.sweep.screen", "SweepScreen"),
    "run": ("flowdeck_app.screens.run.screen", "RunScreen"),
    "task": ("flowdeck_app.screens.task.screen", "TaskScreen"),
    "launch": ("flowdeck_app.screens.launch.screen", "LaunchScreen"),
}


def screen_exists(name: str) -> bool:
    """Say whether a screen is part of this installation."""
    return importlib.util.find_spec(SCREEN_CLASSES[name][0]) is not None


def screen_class(name: str) -> Callable[..., Screen[Any]]:
    """Import a screen's class."""
    module, attribute = SCREEN_CLASSES[name]
    found: Callable[..., Screen[Any]] = getattr(importlib.import_module(module), attribute)
    return found
