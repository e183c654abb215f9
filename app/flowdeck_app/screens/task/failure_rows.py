"""A captured exception as rows: frames with the user's code first, source and variables.

The record is data from somebody's exception. Nothing in it is executed, parsed as markup or
trusted to be short; fields may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowdeck_app.drawing.cells import clean, cut, fit_middle, width
from flowdeck_app.views.facts import content

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from textual.content import Content

    from flowdeck_app.drawing.look import Look

Captured: TypeAlias = Mapping[str, Any]
#: How deep causes and groups are followed, and how many members of a group are listed.
DEPTH: Final = 20
MEMBERS: Final = 50


@dataclass(frozen=True, slots=True)
class FrameItem:
    """One row of the list of frames.

    Attributes:
        path: names the row for as long as the failure is shown.
        kind: ``exception``, ``frame`` or ``fold``.
        depth: how far in it stands (members of groups).
        title: relation of an exception to the one above: ``""``, ``caused by``…
        exception: the exception that it is, or that the frame belongs to.
        frame: the frame.
        hidden: frames that a fold stands for.
        raised: the frame that raised it.
    """

    path: tuple[int | str, ...]
    kind: str
    depth: int
    exception: Captured
    title: str = ""
    frame: Captured | None = None
    hidden: int = 0
    raised: bool = False

    @property
    def is_user(self) -> bool:
        """Whether it is a frame of the user's own code."""
        return self.frame is not None and bool(self.frame.get("is_user"))


def items(exception: Captured, *, every_frame: bool = False) -> list[FrameItem]:
    """Return exceptions and frames in the order they are read, the innermost frame first.

    Args:
        exception: the dict that ``flowdeck_store.failures`` documents.
        every_frame: also the frames of libraries that are otherwise folded.
    """
    return list(_items(exception, (), 0, "", every_frame))


def _items(
    exception: Captured, path: tuple[int | str, ...], depth: int, title: str, every: bool
) -> Iterator[FrameItem]:
    yield FrameItem((*path, "x"), "exception", min(depth, 3), exception, title)
    yield from _frames(exception, path, min(depth, 3), every)
    if len(path) >= DEPTH:
        return
    group = _dicts(exception.get("group"))
    for place, member in enumerate(group[:MEMBERS]):
        name = f"{place + 1} of {len(group)}"
        yield from _items(member, (*path, place), depth + 1, name, every)
    cause, context = exception.get("cause"), exception.get("context")
    if isinstance(cause, Mapping):
        yield from _items(cause, (*path, "cause"), depth, "caused by", every)
    elif isinstance(context, Mapping) and not exception.get("suppress_context"):
        yield from _items(context, (*path, "context"), depth, "while handling", every)


def _dicts(value: Any) -> list[Captured]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _frames(
    exception: Captured, path: tuple[int | str, ...], depth: int, every: bool
) -> Iterator[FrameItem]:
    frames = _dicts(exception.get("frames"))
    some_user = any(frame.get("is_user") for frame in frames)
    folded: list[int] = []
    last = len(frames) - 1
    for place in range(last, -1, -1):
        frame = frames[place]
        if not (every or not some_user or frame.get("is_user") or place == last):
            folded.append(place)
            continue
        if folded:
            yield _fold(exception, path, depth, folded)
            folded = []
        yield FrameItem(
            (*path, f"f{place}"), "frame", depth, exception, frame=frame, raised=place == last
        )
        skipped = frame.get("skipped")
        if isinstance(skipped, int) and skipped:
            where = (*path, f"s{place}")
            yield FrameItem(where, "skipped", depth, exception, hidden=skipped)
    if folded:
        yield _fold(exception, path, depth, folded)


def _fold(
    exception: Captured, path: tuple[int | str, ...], depth: int, places: list[int]
) -> FrameItem:
    return FrameItem((*path, f"h{places[0]}"), "fold", depth, exception, hidden=len(places))


def first_of_interest(rows: Sequence[FrameItem]) -> FrameItem | None:
    """Return where to look first: the innermost frame of the user's, else of anybody's.

    In a group without frames of its own that is the first member's.
    """
    own = next((row for row in rows if row.is_user), None)
    frame = next((row for row in rows if row.kind == "frame"), None)
    return own or frame or next(iter(rows), None)


def name_of(exception: Captured) -> str:
    """Return the type's name as it is read: ``json.decoder.JSONDecodeError`` stays short."""
    return clean(str(exception.get("type") or "Exception"), 200)


def headline(exception: Captured, *, ascii_only: bool = False) -> str:
    """Return ``ValueError: message`` in one line."""
    message = clean(str(exception.get("message") or ""), newline=" ", ascii_only=ascii_only)
    name = name_of(exception)
    return f"{name}: {message}" if message else name


def place_of(frame: Captured) -> str:
    """Return ``flows/invoices.py:57`` with the last two parts of the path."""
    parts = str(frame.get("file") or "?").replace("\\", "/").rsplit("/", 2)
    return clean(f"{'/'.join(parts[-2:])}:{frame.get('lineno') or '?'}", 300)


def item_lines(item: FrameItem, look: Look, cells: int, *, tall: bool) -> list[Content]:
    """Return a row of the list of frames as one line, or as two where there is height.

    Args:
        item: the row.
        look: how to draw.
        cells: width.
        tall: two lines for a frame: the place, and the function below.
    """
    signs = look.symbols
    indent = "  " * item.depth
    room = max(8, cells - len(indent))
    if item.kind == "exception":
        return _exception_lines(item, look, indent, room, tall=tall)
    if item.kind in {"fold", "skipped"}:
        word = "library frames" if item.kind == "fold" else "frames left out"
        dash = signs.line * 2
        return [content(indent, (f"  {dash} {item.hidden} {word} {dash}", "$fd-faint"))]
    frame = item.frame or {}
    place = place_of(frame)
    function = clean(str(frame.get("func") or ""), 200, ascii_only=signs.ascii)
    style = "bold $fd-strong" if item.is_user else "$fd-muted"
    if tall:
        return [
            content(indent, (fit_middle(f"  {place}", room, ellipsis=signs.ellipsis), style)),
            content(indent, (cut(f"    {function}", room, ellipsis=signs.ellipsis), "$fd-muted")),
        ]
    shown = fit_middle(place, max(8, min(width(place), room - 4)), ellipsis=signs.ellipsis)
    return [content(indent, (f"  {shown}", style), (f"  {function}", "$fd-muted"))]


def cells_of(rows: Sequence[FrameItem], *, tall: bool) -> int:
    """Return the cells in which the frames of a list have room; messages are cut to that."""
    needed = 0
    for item in rows:
        if item.frame is None:
            continue
        place = width(place_of(item.frame))
        function = width(clean(str(item.frame.get("func") or ""), 200))
        own = max(2 + place, 4 + function) if tall else 4 + place + function
        needed = max(needed, 2 * item.depth + own)
    return needed


def _exception_lines(
    item: FrameItem, look: Look, indent: str, room: int, *, tall: bool
) -> list[Content]:
    title = item.title
    before = f"{title}  " if title and not tall else ""
    name = cut(name_of(item.exception), room, ellipsis=look.ellipsis)
    message = clean(str(item.exception.get("message") or ""), 300, newline=" ")
    line = content(
        indent, (before, "$fd-accent"), (name, "bold $fd-failed"), (f"  {message}", "$fd-muted")
    )
    return [content(indent, (title, "$fd-accent")), line] if title and tall else [line]
