"""Making texts fit to be stored: no lone surrogates, no NUL, bounded length."""

from __future__ import annotations

from typing import Any, Final

from flowdeck_store.events import FAILURE, FAILURE_STRUCTURE, KIND, LOG, Event

#: The longest message that is stored, in bytes of UTF-8.
MESSAGE_BYTES: Final = 65_536
#: The longest JSON text that is stored; cutting JSON would break it, so longer is left out.
JSON_BYTES: Final = 4_194_304
_MARK: Final = 40  # bytes that the mark of what is missing may take
_PLAIN: Final = (int, float, str, bytes, bool, type(None))
#: A text of fewer characters cannot be too long: an escaped lone surrogate takes six bytes.
_LONG: Final = MESSAGE_BYTES // 6


def clip(text: str, limit: int = MESSAGE_BYTES) -> str:
    """Bound a text to ``limit`` (> 40) bytes of UTF-8; its end then says how much is missing."""
    if len(text) <= limit // 6:
        return text
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return text
    kept = data[: limit - _MARK].decode("utf-8", "ignore")
    return f"{kept}… {len(data) - len(kept.encode()):,} more bytes"


def clean(text: str) -> str:
    r"""Escape what SQLite could not give back: lone surrogates (``\udc80``) and NUL (``\x00``)."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text.replace("\0", "\\x00") if "\0" in text else text


def clean_event(event: Event) -> Event:
    """Return the event with :func:`clean` texts."""
    return tuple(_cleaned(item) for item in event)


def _cleaned(item: Any) -> Any:
    if isinstance(item, str):
        return clean(item)
    if isinstance(item, tuple):
        return tuple(_cleaned(part) for part in item)
    return item


def plain_event(event: Event) -> Event:
    """Return the event of exact built-in types (``marshal`` takes no others, such as str enums)."""
    return tuple(_plain(item) for item in event)


def _plain(item: Any) -> Any:
    if type(item) in _PLAIN:
        return item
    if isinstance(item, (tuple, list)):
        return tuple(_plain(part) for part in item)
    if isinstance(item, int):
        return int(item)
    if isinstance(item, float):
        return float(item)
    if isinstance(item, str):
        return str.__str__(item)
    return str(item)


def bounded_event(event: Event) -> Event:
    """Bound the texts of an event that is suspiciously large.

    Messages are cut. The JSON fields of a failure (its last two) and of everything else cannot be
    cut without breaking them: beyond :data:`JSON_BYTES` an empty object takes their place.
    """
    if event[KIND] == LOG:
        *head, message = event  # it stands last, also in an event that lacks fields
        return (*head, clip(str(message)))
    texts = FAILURE_STRUCTURE if event[KIND] == FAILURE else 0
    return tuple(_bounded(item, cut=index < texts) for index, item in enumerate(event))


def _bounded(item: Any, *, cut: bool) -> Any:
    if not isinstance(item, str) or len(item) <= _LONG:
        return item
    if not cut and item[:1] in "{[":
        size = len(item.encode("utf-8", "backslashreplace"))
        return item if size <= JSON_BYTES else "{}"
    return clip(item)
