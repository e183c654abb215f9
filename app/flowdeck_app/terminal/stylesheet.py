"""A stylesheet that parses each piece of CSS once.

Textual parses all CSS afresh when a screen with CSS of its own is first shown and whenever the
theme is set, also where the colours stay as they are: four times until the app's first frame.
"""

from __future__ import annotations

from typing import Final

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

#: Pieces of CSS whose rules are kept: every widget's and every screen's (Textual keeps 64).
_KEPT: Final = 512


class KeptStylesheet(Stylesheet):
    """Textual's stylesheet; what was parsed with the present colours is not parsed again."""

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(_KEPT)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Take other colours; the same ones change nothing."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parse what has come since; all of it after other colours."""
        self.parse()
