"""A recorded failure as a traceback with source lines and local variables.

The record is data from somebody's exception: nothing in it is executed, parsed as markup or
trusted to be short. Shaped like Python's own traceback, the cause first, so that eyes and tools
find their way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.drawing.cells import at_least, width
from flowdeck_app.drawing.values import block
from flowdeck_store.safe import lines, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flowdeck_app.drawing.look import Look

_CAUSE: Final = "The above exception was the direct cause of the following exception:"
_CONTEXT: Final = "During handling of the above exception, another exception occurred:"
MAX_DEPTH: Final = 20
MAX_GROUP: Final = 20
AROUND: Final = 3  # source lines before and after; the app shows all that were recorded


def traceback(exception: Mapping[str, Any], look: Look, *, every_frame: bool = False) -> list[str]:
    """Return a captured exception as lines.

    Args:
        exception: the dict that ``flowdeck_store.failures`` documents.
        look: what the place can show.
        every_frame: also frames outside the user's own code, which are otherwise folded.
    """
    return list(_exception(exception, look, every_frame, 0))


def headline(exception: Mapping[str, Any]) -> str:
    """Return ``ValueError: message`` in one line."""
    name, message = str(exception.get("type") or "Exception"), str(exception.get("message") or "")
    return one_line(f"{name}: {message}" if message else name)


def _exception(
    exception: Mapping[str, Any], look: Look, every_frame: bool, depth: int
) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"  ({look.ellipsis} further causes)"
        return
    cause, context = exception.get("cause"), exception.get("context")
    earlier = cause or (None if exception.get("suppress_context") else context)
    if isinstance(earlier, dict):
        yield from _exception(earlier, look, every_frame, depth + 1)
        yield from ("", look.paint(_CAUSE if cause else _CONTEXT, "dim"), "")
    frames = exception.get("frames") or []
    if frames:
        yield look.paint("Traceback (most recent call last):", "dim")
        yield from _frames(frames, look, every_frame)
    syntax = exception.get("syntax")
    if syntax:
        yield from _place(syntax, look)
        if syntax.get("text"):
            yield from (f"      {line}" for line in lines(str(syntax["text"]), 500))
    first, *more = _message(exception)
    yield look.paint(first, "red")
    yield from more
    for note in exception.get("notes") or []:
        yield from lines(str(note), 4000)
    if exception.get("truncated"):
        yield look.paint(f"(shortened: {one_line(str(exception['truncated']), 200)})", "dim")
    group = exception.get("group") or []
    for index, member in enumerate(group[:MAX_GROUP], 1):
        yield f"  +-- {index} of {len(group)} --"
        yield from (f"  | {line}" for line in _exception(member, look, every_frame, depth + 1))
    if len(group) > MAX_GROUP:
        yield f"  +-- and {len(group) - MAX_GROUP} more --"


def _message(exception: Mapping[str, Any]) -> list[str]:
    name = one_line(str(exception.get("type") or "Exception"), 200)
    module = str(exception.get("module") or "")
    if module not in {"", "builtins", "__main__"}:
        name = f"{one_line(module, 200)}.{name}"
    text = str(exception.get("message") or "")
    return lines(f"{name}: {text}" if text else name, 10_000)


def _frames(frames: Sequence[Mapping[str, Any]], look: Look, every_frame: bool) -> Iterator[str]:
    last = len(frames) - 1
    some_user = any(frame.get("is_user") for frame in frames)
    folded = 0
    for index, frame in enumerate(frames):
        # Without a frame of the user's, or at the place it was raised, there is nothing to fold.
        if not (every_frame or not some_user or frame.get("is_user") or index == last):
            folded += 1
            continue
        if folded:
            yield look.paint(f"  ({folded} frames of libraries)", "dim")
            folded = 0
        yield from _frame(frame, look)


def _frame(frame: Mapping[str, Any], look: Look) -> Iterator[str]:
    if frame.get("skipped"):
        yield look.paint(f"  ({frame['skipped']} frames were left out)", "dim")
    yield from _place(frame, look)
    yield from _source(frame, look)
    yield from _locals(frame.get("locals") or [], look)


def _place(frame: Mapping[str, Any], look: Look) -> Iterator[str]:
    """Say where, as far as it is known: a syntax error may have no file, or no line."""
    known, lineno = frame.get("file"), frame.get("lineno")
    if known is None and lineno is None:
        return
    file = one_line(str(known or "<string>"), 500)
    function = one_line(str(frame.get("func") or ""), 200)
    where = "" if lineno is None else f", line {lineno}"
    where += f", in {look.paint(function, 'bold')}" if function else ""
    yield f'  File "{look.paint(file, "cyan")}"{where}'


def _source(frame: Mapping[str, Any], look: Look) -> Iterator[str]:
    source = frame.get("source")
    lineno = frame.get("lineno")
    if not source or not isinstance(lineno, int):
        return
    first, texts = source
    digits = len(str(first + len(texts)))
    for number, text in enumerate(texts, first):
        if abs(number - lineno) > AROUND:
            continue
        shown = (lines(text, 500) or [""])[0]
        here = number == lineno
        pointer = ">" if here else " "
        line = f"    {pointer} {number:>{digits}} {shown}".rstrip()
        yield look.paint(line, "bold") if here else look.paint(line, "dim")
        if here:
            yield from _carets(frame, text, digits, look)


def _carets(frame: Mapping[str, Any], text: str, digits: int, look: Look) -> Iterator[str]:
    """Mark the columns of the expression, where Python told and it is not the whole line."""
    start, end = frame.get("col"), frame.get("end_col")
    if not isinstance(start, int) or not isinstance(end, int):
        return
    if frame.get("end_lineno") not in {None, frame.get("lineno")}:
        return
    content = text.strip()
    if end <= start or text[start:end].strip() == content or end > len(text) or "\t" in text:
        return
    blanks = width(text[:start]) + 7 + digits
    yield look.paint(" " * blanks + "^" * max(1, width(text[start:end])), "red")


def _locals(variables: Sequence[Mapping[str, Any]], look: Look) -> Iterator[str]:
    names = [one_line(str(item.get("name") or "?"), 60) for item in variables]
    widest = min(20, max(map(width, names), default=0))
    for name, item in zip(names, variables, strict=True):
        kind = one_line(str(item.get("type") or ""), 60)
        label = f"{look.paint(at_least(name, widest), 'cyan')} {look.paint(kind, 'dim')} = "
        if item.get("hidden"):
            value = look.paint("hidden: the name or its content looks like a secret", "dim")
            yield f"        {label}{value}"
            continue
        room = max(20, (look.width or 300) - widest - width(kind) - 14)
        for line in block(label, str(item.get("repr") or ""), room, look, most=10):
            yield f"        {line}"
