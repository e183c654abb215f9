"""Small questions that widgets ask of whatever app they run in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypedDict

from textual.app import App

from flowdeck_app.actions import REGISTRY
from flowdeck_app.drawing.look import Look
from flowdeck_app.events.living import lives

if TYPE_CHECKING:
    from textual.dom import DOMNode


class Names(TypedDict, total=False):
    """What every widget may be given: ``**names: Unpack[Names]``."""

    name: str | None
    id: str | None
    classes: str | None


def look_of(app: App[Any]) -> Look:
    """Return the app's look; a plain Textual app gets the clock and Unicode signs."""
    look = getattr(app, "look", None)
    return look if isinstance(look, Look) else Look(time.time_ns() // 1000)


def may(node: DOMNode, action: str) -> bool | None:
    """Ask the guard of an action: a property of the node, its screen or the app.

    Returns:
        ``True`` possible, ``None`` greyed out, ``False`` hidden and without effect.
    """
    known = REGISTRY.by_method(action)
    if known is None or not known.guard:
        return True
    if not lives(node):
        return False
    for place in (node, node if isinstance(node, App) else node.screen, node.app):
        answer = getattr(place, known.guard, True)
        if answer is not True:
            return None if answer is None else bool(answer)
    return True
