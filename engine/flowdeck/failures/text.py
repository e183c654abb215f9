"""A captured exception as plain text, made from the record alone: no source files, no unpickling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CAUSE: Final = "The above exception was the direct cause of the following exception:"
_CONTEXT: Final = "During handling of the above exception, another exception occurred:"
#: How deep chains and groups are followed; captured records stay far below.
_MAX_DEPTH: Final = 60
#: How often one and the same line of a recursion is shown in a row.
_REPEATS: Final = 3


def render(exception: dict[str, Any], *, locals: bool = False) -> str:  # noqa: A002 - the contract's name
    """Return a traceback in the interpreter's own style.

    Args:
        exception: the dict that :mod:`flowdeck_store.failures` documents; missing fields are
            left out.
        locals: show the recorded local variables of each frame too.
    """
    return "\n".join(_chain(exception, locals, 0))


def title(exception: dict[str, Any]) -> str:
    """Return ``module.Type: message``, the last line of a traceback."""
    module, name = exception.get("module"), str(exception.get("type", "?"))
    if module and module not in {"builtins", "__main__"}:
        name = f"{module}.{name}"
    message = exception.get("message")
    return f"{name}: {message}" if message else name


def _chain(exception: dict[str, Any], with_locals: bool, depth: int) -> Iterator[str]:
    cause, context = exception.get("cause"), exception.get("context")
    if depth < _MAX_DEPTH:
        if cause:
            yield from _chain(cause, with_locals, depth + 1)
            yield from ("", _CAUSE, "")
        elif context and not exception.get("suppress_context"):
            yield from _chain(context, with_locals, depth + 1)
            yield from ("", _CONTEXT, "")
    if exception.get("frames"):
        yield "Traceback (most recent call last):"
        yield from _frames(exception["frames"], with_locals)
    if exception.get("syntax"):
        yield from _place(exception["syntax"], None)
    yield title(exception)
    yield from (str(note) for note in exception.get("notes") or ())
    if exception.get("truncated"):
        yield f"[{exception['truncated']}]"
    if depth < _MAX_DEPTH:
        yield from _group(exception.get("group") or [], with_locals, depth)


def _group(members: list[dict[str, Any]], with_locals: bool, depth: int) -> Iterator[str]:
    for number, member in enumerate(members, 1):
        yield f"  +---------------- {number} ----------------"
        for line in _chain(member, with_locals, depth + 1):
            yield from (f"  | {part}" for part in line.split("\n"))
    if members:
        yield "  +------------------------------------"


def _frames(frames: list[dict[str, Any]], with_locals: bool) -> Iterator[str]:
    before, times = None, 0
    for frame in frames:
        place = (
            frame.get("file"),
            frame.get("lineno"),
            frame.get("func"),
            bool(frame.get("skipped")),
        )
        times = times + 1 if place == before else 1
        before = place
        if times <= _REPEATS or with_locals:
            yield from _frame(frame, with_locals)
        elif times == _REPEATS + 1:
            yield "  [... the same line again ...]"


def _frame(frame: dict[str, Any], with_locals: bool) -> Iterator[str]:
    if frame.get("skipped"):
        yield f"  [... {frame['skipped']} frames left out ...]"
    yield from _place(frame, frame.get("func"))
    if with_locals:
        for variable in frame.get("locals") or ():
            yield f"      {variable.get('name')} = {variable.get('repr')}"


def _place(place: dict[str, Any], func: str | None) -> Iterator[str]:
    file, lineno = place.get("file"), place.get("lineno")
    if file is not None or lineno is not None:  # a syntax error may have neither
        where = "" if lineno is None else f", line {lineno}"
        where += f", in {func}" if func else ""
        yield f'  File "{"<string>" if file is None else file}"{where}'
    line = _current_line(place)
    if line is None or not line.strip():
        return
    stripped = line.lstrip()
    yield f"    {stripped.rstrip()}"
    marks = _marks(place, line)
    if marks:
        yield f"    {marks}"


def _current_line(place: dict[str, Any]) -> str | None:
    if place.get("text") is not None:
        return str(place["text"])
    source = place.get("source")
    if not source:
        return None
    index = place.get("lineno", 0) - source[0]
    return str(source[1][index]) if 0 <= index < len(source[1]) else None


def _marks(place: dict[str, Any], line: str) -> str:
    """Return the ``^^^`` under the part of the line that was executing, if it is only a part."""
    col, end_col = place.get("col"), place.get("end_col")
    if col is None or end_col is None or place.get("end_lineno") != place.get("lineno"):
        return ""
    indent, length = len(line) - len(line.lstrip()), len(line.rstrip())
    start, end = max(int(col), indent), min(int(end_col), length)
    if end <= start or (start == indent and end == length):
        return ""
    return " " * (start - indent) + "^" * (end - start)
