"""Untrusted text on a terminal: no control sequences.

Names, messages, parameters and log lines are what users and their data made of them. Whatever a
terminal would act on is shown as an escape (``\\x1b``), which every pipe and encoding takes. Each
text that flowdeck writes to a stream passes here: the engine's console lines, all output of the
command line.
"""

from __future__ import annotations

import re
from typing import Final

#: C0 and C1 controls, DEL, bidirectional overrides, line separators, lone surrogates.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def one_line(text: str, limit: int = 2000) -> str:
    """Return ``text`` as one line without control characters, at most ``limit`` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else _UNSAFE.sub(_escape, cut)


def lines(text: str, limit: int = 100_000) -> list[str]:
    """Return ``text`` as lines without control characters (tabs become spaces)."""
    cut = text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"
    return several(cut).split("\n")


def several(text: str) -> str:
    """Return ``text`` without control characters, its line ends kept (tabs become spaces)."""
    if text.isprintable():
        return text
    parts = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_UNSAFE.sub(_escape, part.expandtabs(4)) for part in parts)
