"""What an earlier flow run leaves for one that repeats it: its calls, and the values they returned.

A value can be had again from its file, or, if it is a number, a short text or the like, from the
record's preview, which then says all of it. Nothing else is ever made into a value: not a cut
preview, and no file that does not lie among the kept results of this home folder.
"""

from __future__ import annotations

import ast
import datetime
import decimal
import pathlib
import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from flowdeck import caching
from flowdeck.exceptions import MissingResult
from flowdeck.runs.results import WITHDRAWN, KeptValue
from flowdeck.values.redaction import HIDDEN, concealed
from flowdeck.values.safe_repr import BIG_INT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowdeck.runs.results import ResultStore
    from flowdeck_store.read.records import ResultRecord
    from flowdeck_store.read.reuse import EarlierCall

#: Types whose preview, if it is not cut, is all there is to know about a value.
_ATOMS: Final[Mapping[str, type]] = {
    kind.__name__: kind for kind in (int, float, bool, str, bytes, type(None))
}
#: Values whose ``repr`` tells them apart from all others of any type.
_FAITHFUL: Final = frozenset(
    {
        *_ATOMS.values(), complex, range, datetime.date, datetime.datetime, datetime.time,
        datetime.timedelta, decimal.Decimal, uuid.UUID, pathlib.PosixPath, pathlib.WindowsPath,
    }
)  # fmt: skip
_CONTAINERS: Final = frozenset({list, tuple, dict, set, frozenset})
_FAITHFUL_TEXT: Final = re.compile(
    r"-?inf|nan|range\([^…]*\)|datetime\.\w+\([^…]*\)"
    r"|Decimal\('[^…]*'\)|UUID\('[^…]*'\)|(?:Posix|Windows)Path\([^…]*\)"
)
_INDEX: Final = re.compile(r"-([0-9a-f]{8})-(\d{1,8})")
#: Characters of a text whose ``repr`` always fits into a preview.
_SHORT: Final = 190
#: Kept values up to this size (bytes) are read when a call is matched, so that one that cannot be
#: read any more only costs a call. Greater ones are read when somebody asks for them.
AT_ONCE: Final = 1 << 20


# -- values -----------------------------------------------------------------------------------------


def value_of(result: ResultRecord | None, store: ResultStore) -> Any:
    """Return what a completed call returned, or a :class:`KeptValue` that stands for it.

    Args:
        result: for which :func:`check` found nothing missing.
        store: where kept values are.

    Raises:
        MissingResult: it was not kept, or cannot be read.
    """
    if result is None:
        return None
    if result.location is None:
        return _from_preview(result)
    if result.size is not None and result.size > AT_ONCE:
        return KeptValue(store, result.location)
    return store.read(result.location)


def check(result: ResultRecord | None, store: ResultStore) -> str | None:
    """Make sure that a value can be had again; return the mark of its inputs, if there is one.

    Raises:
        MissingResult: it was not kept, or is gone.
    """
    if result is None:  # only None leaves no trace
        return None
    if result.location is not None:
        return store.find_kept(result.location, result.size)
    _from_preview(result)
    return None


def is_in_preview(value: Any) -> bool:
    """Say whether the record's preview will do, so that there is no need to keep a file."""
    kind = type(value)
    if kind in {str, bytes}:
        return len(value) <= _SHORT and _says_all(repr(value))
    return kind is not int or -BIG_INT < value < BIG_INT if kind in _ATOMS.values() else False


def _says_all(text: str) -> bool:
    return HIDDEN not in text and concealed(text) == text


def _from_preview(result: ResultRecord) -> Any:
    text = result.preview or ""
    kind = _ATOMS.get(result.type)
    if text.startswith(WITHDRAWN):
        raise MissingResult("It was rolled back with its transaction.")
    if HIDDEN in text:  # a secret was in it: what is left is not the value
        raise MissingResult(f"The result, {result.type}, was not kept: the record hides it.")
    try:
        value = float(text) if kind is float else ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = ...
    if kind is None or type(value) is not kind:
        raise MissingResult(f"The result, {result.type}, was not kept.")
    return value


# -- inputs -----------------------------------------------------------------------------------------


def same(text: str, value: Any) -> bool:
    """Say whether a recorded text is all of this very value. In doubt it is not."""
    kind = type(value)
    if kind in _FAITHFUL:
        return repr(value) == text
    if kind not in _CONTAINERS:
        return False
    try:
        recorded = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return type(recorded) is kind and caching.same(recorded, value)


def is_whole(text: str) -> bool:
    """Say whether a recorded text can be :func:`same` as any value."""
    if _FAITHFUL_TEXT.fullmatch(text):
        return True
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


# -- calls ------------------------------------------------------------------------------------------


def kind_of(definition: str) -> str:
    """Return the part of a definition's key in the record that calls are counted by: of a task
    file and function, whatever its name and options."""
    head, bar, _ = definition.rpartition("|")
    return head.rpartition("|")[0] if bar and "|" in head else definition


class CallsOfRun:
    """The calls of an earlier run by what was called and how often it had been called before.

    The count is in the usual name of a task run. With names of the user's own making the calls are
    counted here; that is not possible for a run that was tried several times, since what completed
    in one of its attempts is not called (and recorded) again in the next.
    """

    def __init__(self, calls: Iterable[EarlierCall], attempts: int) -> None:
        self._by_kind: dict[str, list[EarlierCall]] = {}
        self._indexed: dict[str, dict[int, EarlierCall]] = {}
        self._countable = attempts <= 1
        for call in calls:
            self._by_kind.setdefault(kind_of(call.definition), []).append(call)

    def find(self, definition: str, name: str, index: int) -> EarlierCall | None:
        """Return a call.

        Args:
            definition: the key of the task's definition.
            name: what its run with this index is called if nobody named it.
            index: how often it was called before.
        """
        kind = kind_of(definition)
        indexed = self._indexed.get(kind)
        if indexed is None:
            start = name[: len(name) - len(str(index))]
            indexed = self._indexed[kind] = self._index(self._by_kind.pop(kind, []), start)
        return indexed.get(index)

    def _index(self, calls: list[EarlierCall], start: str) -> dict[int, EarlierCall]:
        mark = _INDEX.search(start + "0")
        found: dict[int, EarlierCall] = {}
        for count, call in enumerate(calls):
            index = _named_index(call.name, start, mark and mark[1])
            if index is None:
                if not self._countable:
                    continue
                index = count
            if index not in found or call.is_completed or not found[index].is_completed:
                found[index] = call
        return found


def _named_index(name: str, start: str, mark: str | None) -> int | None:
    """Return the count at the end of a usual name: ``fetch-7633879f-3``, ``a-subflow-0``."""
    if name.startswith(start) and name[len(start) :].isdecimal():
        return int(name[len(start) :])
    found = _INDEX.search(name) if mark else None
    if found and found[1] == mark and found.end() == len(name):
        return int(found[2])
    return None
