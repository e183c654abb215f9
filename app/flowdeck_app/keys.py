"""The user's keymap: ``[tool.flowdeck.keys]`` (or ``[keys]`` of the user's file), checked.

Settings say ``"run.again" = "ctrl+t"`` or ``"find.filter" = "slash,ctrl+f"``. A name that no
action has and a key that two actions would share are reported with both names, and the entry is
left out: the app always starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key, key_to_character

from flowdeck_app.actions import REGISTRY, ActionRegistry, display_key

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED = {key.value for key in Keys} | set(KEY_NAME_REPLACEMENTS.values())
_MODIFIERS = {"ctrl", "shift", "alt", "meta", "super", "hyper"}


@dataclass(frozen=True, slots=True)
class Keymap:
    """What the settings change, and what is wrong with them."""

    keys: dict[str, str]  # action id -> Textual's comma separated keys
    problems: tuple[str, ...]


def resolve(wanted: Mapping[str, object], registry: ActionRegistry = REGISTRY) -> Keymap:
    """Check the user's key settings against the registry.

    Args:
        wanted: action id -> key or comma separated keys, as read from the settings.
        registry: the actions there are.
    """
    problems: list[str] = []
    asked: dict[str, list[str]] = {}
    for action_id, value in wanted.items():
        keys = _parse(action_id, value, registry, problems)
        if keys:
            asked[action_id] = keys
    return Keymap(_without_clashes(asked, registry, problems), tuple(problems))


def _parse(
    action_id: str, value: object, registry: ActionRegistry, problems: list[str]
) -> list[str]:
    if action_id not in registry:
        near = registry.nearest(action_id)
        hint = f"; did you mean {near!r}?" if near else "; `?` lists the names"
        problems.append(f"keys: no action is called {action_id!r}{hint}")
        return []
    if not isinstance(value, str) or not value.strip():
        problems.append(f"keys: {action_id!r} needs a key as text, not {value!r}")
        return []
    keys: list[str] = []
    for part in _split(value):
        key = normalise(part)
        if key is None:
            problems.append(f"keys: {action_id!r}: {part!r} is no key that a terminal sends")
            return []
        keys.append(key)
    return keys


def _split(value: str) -> list[str]:
    """Split at commas; a lone comma is the comma key."""
    if value.strip() == ",":
        return [","]
    return [part.strip() for part in value.split(",") if part.strip()]


def normalise(key: str) -> str | None:
    """Return Textual's name of a key (``"?"`` -> ``"question_mark"``), ``None`` if it is none."""
    if len(key) == 1:
        return _character_to_key(key)
    *modifiers, last = key.split("+")
    if not set(modifiers) <= _MODIFIERS or not last:
        return None
    known = len(last) == 1 or last in _NAMED or key in _NAMED or key_to_character(last) is not None
    return key if known else None


def _without_clashes(
    asked: dict[str, list[str]], registry: ActionRegistry, problems: list[str]
) -> dict[str, str]:
    """Leave out what would put two actions of one scope on one key."""
    accepted: dict[str, str] = {}
    taken: dict[tuple[str, str], str] = {
        (action.scope, key): action.id
        for action in registry
        if action.id not in asked
        for key in action.keys
    }
    for action_id, keys in asked.items():
        scope = registry[action_id].scope
        other = next((taken[scope, key] for key in keys if (scope, key) in taken), None)
        if other is not None:
            clash = next(key for key in keys if (scope, key) in taken)
            problems.append(
                f"keys: {display_key(clash)!r} would be both {other!r} and {action_id!r}: "
                f"{action_id!r} keeps {registry[action_id].shown_keys!r}"
            )
            continue
        accepted[action_id] = ",".join(keys)
        taken.update({(scope, key): action_id for key in keys})
    return accepted
