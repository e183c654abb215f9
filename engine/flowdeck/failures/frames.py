"""The frames of a traceback as data: places, source lines as they are now, whose code it is."""

from __future__ import annotations

import functools
import linecache
import os
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck.values.redaction import HIDDEN, without_secrets
from flowdeck.values.statics import encodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType, TracebackType

#: Packages that call the user's function; their frames before it say nothing about the failure.
_CALLERS: Final = frozenset(
    {"flowdeck", "flowdeck_store", "flowdeck_app", "anyio", "asyncio", "concurrent", "threading",
     "contextlib", "contextvars", "distributed", "dask", "ray", "tornado"}
)  # fmt: skip
_OWN: Final = frozenset({"flowdeck", "flowdeck_store", "flowdeck_app"})
#: Characters of a source line that are kept.
_LINE: Final = 400
#: Lines around the current one in frames that are not the user's.
_LIBRARY_LINES: Final = 2
#: How often the source of one and the same line is kept (recursion shows it hundreds of times).
_REPEATS: Final = 3


class Place(NamedTuple):
    """One level of a traceback."""

    frame: FrameType
    lineno: int
    lasti: int
    skipped: int  # levels that are left out before this one

    @property
    def module(self) -> str:
        name = self.frame.f_globals.get("__name__")
        return name if type(name) is str else ""

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def is_user(self) -> bool:
        """Whether this is neither the engine's code nor a library's."""
        return self.package not in _OWN and _is_user_file(self.frame.f_code.co_filename)


def places(traceback: TracebackType | None, limit: int, *, skip_engine: bool) -> list[Place]:
    """Return the levels of a traceback, outermost first: of a long one both ends.

    Args:
        traceback: ``error.__traceback__``.
        limit: levels that are kept.
        skip_engine: leave out the leading levels of those who called the user's function.
    """
    head, tail, total = [], [], 0
    half = max(1, limit // 2)
    for total, place in enumerate(_levels(traceback, skip_engine), 1):
        if total <= half:
            head.append(place)
        else:
            tail.append(place)
            if len(tail) > 2 * half:  # amortised: not a pop per level
                del tail[:half]
    tail = tail[-half:]
    skipped = total - len(head) - len(tail)
    if skipped:
        tail[0] = tail[0]._replace(skipped=skipped)
    return head + tail


def _levels(traceback: TracebackType | None, skip_engine: bool) -> Iterator[Place]:
    start = _first_of_user(traceback) if skip_engine else traceback
    while start is not None:
        frame = start.tb_frame
        yield Place(frame, start.tb_lineno or frame.f_code.co_firstlineno, start.tb_lasti, 0)
        start = start.tb_next


def _first_of_user(traceback: TracebackType | None) -> TracebackType | None:
    level = traceback
    while level is not None:
        name = level.tb_frame.f_globals.get("__name__")
        if type(name) is not str or name.partition(".")[0] not in _CALLERS:
            return level
        level = level.tb_next
    return traceback  # the engine itself failed: then its frames are the point


class Sources:
    """Reads source lines, each file once.

    Args:
        around: lines before and after the one that is executed.
        redact: says which names hold secrets: literals given to them are hidden; ``None``: none.
    """

    def __init__(self, around: int, redact: Callable[[str], bool] | None = None) -> None:
        self.around = around
        self.redact = redact
        self._checked: set[str] = set()
        self._seen: dict[tuple[str, int], int] = {}

    def describe(self, place: Place, is_user: bool) -> dict[str, Any]:
        """Return what the record holds of a level, without its variables."""
        code = place.frame.f_code
        lines = self._lines(place.frame)
        end_lineno, col, end_col = _columns(code, place.lasti)
        source = self._around(code.co_filename, place.lineno, lines, is_user)
        if source is not None and not _is_in(lines, place.lineno, source):
            col = end_col = None  # something is hidden in the line: columns say nothing any more
        described = {
            "file": encodable(code.co_filename),
            "lineno": place.lineno,
            "end_lineno": end_lineno or place.lineno,
            "col": _characters(lines, place.lineno, col),
            "end_col": _characters(lines, end_lineno or place.lineno, end_col),
            "func": encodable(code.co_qualname.rpartition("<locals>.")[2]),
            "module": encodable(place.module),
            "is_user": is_user,
            "source": source,
        }
        if place.skipped:
            described["skipped"] = place.skipped
        return described

    def _lines(self, frame: FrameType) -> list[str]:
        file = frame.f_code.co_filename
        try:
            if file not in self._checked:
                self._checked.add(file)
                linecache.checkcache(file)
            return linecache.getlines(file, frame.f_globals)
        except Exception:  # a loader of users may raise anything
            return []

    def _around(self, file: str, lineno: int, lines: list[str], is_user: bool) -> list[Any] | None:
        if not 0 < lineno <= len(lines):
            return None
        times = self._seen[file, lineno] = self._seen.get((file, lineno), 0) + 1
        reach = self.around if is_user else min(self.around, _LIBRARY_LINES)
        if times > _REPEATS:
            reach = 0
        first = max(1, lineno - reach)
        kept = lines[first - 1 : lineno + reach]
        shown = [encodable(line.rstrip("\r\n"))[:_LINE] for line in kept]
        return [first, shown if self.redact is None else _concealed(tuple(shown), self.redact)]


@functools.lru_cache(maxsize=256)
def _concealed(lines: tuple[str, ...], redact: Callable[[str], bool]) -> list[str]:
    hidden = without_secrets("\n".join(lines), redact, code=True).split("\n")
    if len(hidden) != len(lines):
        hidden = [without_secrets(line, redact, code=True) for line in lines]
    return [HIDDEN if _BASE64.fullmatch(line) else line for line in hidden]


#: A line out of the middle of a key.
_BASE64: Final = re.compile(r"\s*[A-Za-z0-9+/]{60,76}={0,2}\s*")


def _is_in(lines: list[str], lineno: int, source: list[Any]) -> bool:
    first, kept = source
    shown: str = kept[lineno - first]
    return shown == encodable(lines[lineno - 1].rstrip("\r\n"))[:_LINE]


def _columns(code: CodeType, lasti: int) -> tuple[int | None, int | None, int | None]:
    """Return last line, first and last column of the instruction; columns count bytes."""
    if lasti < 0:
        return None, None, None
    found = next(islice(code.co_positions(), lasti // 2, None), None)
    return (None, None, None) if found is None else found[1:]


def _characters(lines: list[str], lineno: int, column: int | None) -> int | None:
    """Turn a column in bytes into one in characters."""
    if column is None or not 0 < lineno <= len(lines):
        return column
    line = lines[lineno - 1]
    if line.isascii():
        return column
    return len(line.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "replace"))


@functools.cache
def _library_folders() -> tuple[str, ...]:
    import sysconfig  # milliseconds, and only failures need it

    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {sysconfig.get_path(name) for name in names} | {os.path.dirname(os.__file__)}
    real = {os.path.realpath(path) for path in found if path}
    return tuple(sorted(path + os.sep for path in {*real, *(p for p in found if p)}))


@functools.lru_cache(maxsize=4096)
def _is_user_file(file: str) -> bool:
    if file.startswith(("<frozen ", "<attrs generated", "<__array_function__")):
        return False
    if f"{os.sep}site-packages{os.sep}" in file or f"{os.sep}dist-packages{os.sep}" in file:
        return False
    return not file.startswith(_library_folders())
