"""Hiding what is secret in unified diffs, where a sign stands before each line and one text is two.

The lines are looked at without their signs, the old ones and the new ones each as the text that
they are: a secret over several lines (a PEM key, a block of YAML) is known by its first line, which
may be one that did not change.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowdeck_store.secrets.names import HIDDEN, is_secret
from flowdeck_store.secrets.redaction import lines_without_secrets, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HUNK: Final = re.compile(r"(@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@ ?)(.*)", re.DOTALL)
#: A hunk may begin and end inside a key: its lines are base64 and nothing else.
_BASE64: Final = re.compile(r"[\s\"']*[A-Za-z0-9+/]{40,}={0,2}(?:\\n)?[\s\"',;+\\)]*")
_REST_OF_KEY: Final = re.compile(r"[\s\"']*[A-Za-z0-9+/]+={0,2}(?:\\n)?[\s\"',;+\\)]*")
_END_OF_KEY: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY")


def diff_without_secrets(diff: str, hides: Callable[[str], bool] = is_secret) -> str:
    """Return a unified diff, in as many lines, with what is secret in it replaced by ``<hidden>``.

    Args:
        diff: as ``git diff`` writes it; it may be cut off.
        hides: says which names hold secrets.
    """
    shown: list[str] = []
    lines = diff.split("\n")
    at = 0
    while at < len(lines):
        head = _HUNK.fullmatch(lines[at])
        at += 1
        if head is None:
            shown.append(without_secrets(lines[at - 1], hides))
            continue
        shown.append(head[1] + _lines(head[4], hides))
        end = _end_of_hunk(lines, at, int(head[2] or 1), int(head[3] or 1))
        shown += _hunk(lines[at:end], hides)
        at = end
    return "\n".join(shown)


def _end_of_hunk(lines: Sequence[str], at: int, old: int, new: int) -> int:
    """Return where a hunk ends, by the numbers of its head: its lines may look like heads."""
    while at < len(lines) and (old > 0 or new > 0):
        sign = lines[at][:1]
        if sign not in {"", " ", "-", "+", "\\"}:
            break
        old -= sign in {"", " ", "-"}
        new -= sign in {"", " ", "+"}
        at += 1
    return at


def _hunk(lines: Sequence[str], hides: Callable[[str], bool]) -> list[str]:
    shown = list(lines)
    for sides in ({"-", " ", ""}, {"+", " ", ""}):
        places = [place for place, line in enumerate(lines) if line[:1] in sides]
        texts = _lines("\n".join(lines[place][1:] for place in places), hides).split("\n")
        for place, text in zip(places, texts, strict=False):
            raw, before = lines[place][1:], shown[place][1:]
            if text != raw and text != before:  # of a line in both, what either says is hidden
                shown[place] = lines[place][:1] + (text if before == raw else HIDDEN)
    return shown


def _lines(text: str, hides: Callable[[str], bool]) -> str:
    """Return lines without signs, in as many lines, without secrets and parts of keys."""
    lines = text.split("\n")
    is_key = [_BASE64.fullmatch(line) is not None for line in lines]
    for end, line in enumerate(lines):
        if _END_OF_KEY.search(line):
            place = end - 1
            while place >= 0 and _REST_OF_KEY.fullmatch(lines[place]):
                is_key[place] = True
                place -= 1
    shown = lines_without_secrets(text, hides).split("\n")
    return "\n".join(
        HIDDEN if key and now == line else now
        for key, line, now in zip(is_key, lines, shown, strict=True)
    )
