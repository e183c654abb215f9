"""How much an agent gets at a time, and what it never gets. Pure.

An agent's context is small and what it reads may be sent anywhere: every text is bounded, lists are,
and secrets are hidden once more on the way out, whatever an older flowdeck recorded. With ``redact``
all values are left out, as ``flowdeck export --redact`` leaves them out.
"""

from __future__ import annotations

from typing import Any, Final

from flowdeck_store.safe import several
from flowdeck_store.secrets.redaction import HIDDEN, without_secrets

#: Characters of one text, items of one list, and characters of all texts of an answer.
TEXT: Final = 4_000
ITEMS: Final = 200
WHOLE: Final = 60_000
_DEPTH: Final = 40
#: Fields whose values are what a run was given, computed or was told.
_VALUES: Final = frozenset(
    {
        "parameters", "inputs", "preview", "value", "answer", "default", "variables", "argv", "env",
        "diff", "before", "now", "arguments", "code", "schema",
    }
)  # fmt: skip


class Bounds:
    """Bounds one answer.

    Args:
        redact: leave all values out.
    """

    def __init__(self, *, redact: bool = False) -> None:
        self._redact = redact
        self._left = WHOLE
        #: Whether anything was left out for its size.
        self.is_cut = False

    def text(self, text: str, most: int = TEXT) -> str:
        """Return a text without secrets and control characters, and not too long."""
        shown = several(without_secrets(text))
        most = max(0, min(most, self._left))
        if len(shown) > most:
            self.is_cut = True
            shown = f"{shown[:most]}… ({len(shown):,} characters)"
        self._left -= len(shown)
        return shown

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return a JSON value with all of its texts and lists bounded."""
        if isinstance(value, str):
            return self.text(value)
        if depth >= _DEPTH and isinstance(value, (dict, list)):
            self.is_cut = True
            return "…"
        if isinstance(value, dict):
            return self._object(value, depth)
        if isinstance(value, list):
            kept = [self.value(item, depth + 1) for item in value[:ITEMS]]
            if len(value) > ITEMS:
                self.is_cut = True
                kept.append(f"… and {len(value) - ITEMS:,} more")
            return kept
        return value

    def _object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, item in list(value.items())[:ITEMS]:
            if self._redact and name in _VALUES and item not in (None, [], {}):
                found[name] = HIDDEN
            elif name == "diff" and isinstance(item, str) and depth == 1:
                found[name] = self.text(item, 1_000)  # of the repository: rarely what is asked for
            else:
                found[name] = self.value(item, depth + 1)
        self.is_cut = self.is_cut or len(value) > ITEMS
        return found
