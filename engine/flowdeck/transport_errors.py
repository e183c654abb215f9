"""Exceptions on their way between processes: type, arguments, attributes, causes and traceback.

Pickle alone loses causes and traceback, and cannot bring back exceptions whose ``__init__`` does not
fit their ``args``, which is common. What cannot travel at all is replaced by a stand-in that says
what it was.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, field
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import CrashedRun, FailedRun

if TYPE_CHECKING:
    from flowdeck.transport import Pickling

_DEPTH: Final = 10
_FRAMES: Final = 100
_ENGINE: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")

Place = tuple[str, str, int]


@dataclass(slots=True)
class _Packed:
    """One exception of a chain."""

    body: bytes | None  # pickled whole
    cls: bytes | None = None  # or its parts
    args: bytes | None = None
    state: bytes | None = None
    text: tuple[str, str] = ("", "")  # or only what it was
    is_exception: bool = True
    places: list[Place] = field(default_factory=list)
    cause: _Packed | None = None
    context: _Packed | None = None
    suppressed: bool = False


class _AsItself:
    """Pickles as its exception does by itself.

    Dask and Ray register tblib's way for every class of exceptions, in the whole process. It loses
    what the constructors of built-in classes set: the code of a SystemExit, the text of an OSError.
    """

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self._error.__reduce_ex__(pickle.HIGHEST_PROTOCOL)


def pack(error: BaseException, pickling: Pickling) -> bytes:
    """Return the exception as bytes; never raises."""
    return pickling.dumps(_pack(error, pickling, _DEPTH, set()))


def unpack(data: bytes, pickling: Pickling) -> BaseException:
    """Return the exception that :func:`pack` made the bytes from, or a stand-in; never raises."""
    try:
        return _unpack(pickling.loads(data), pickling)
    except Exception as problem:
        return FailedRun(f"The task's exception cannot be read here: {_text(problem)}")


def _pack(error: BaseException, pickling: Pickling, depth: int, seen: set[int]) -> _Packed:
    seen.add(id(error))
    packed = _body(error, pickling)
    packed.is_exception = isinstance(error, Exception)
    packed.places = _places(error.__traceback__)
    packed.suppressed = bool(error.__suppress_context__)
    for name in ("cause", "context"):
        other = getattr(error, f"__{name}__")
        if other is not None and depth and id(other) not in seen:
            setattr(packed, name, _pack(other, pickling, depth - 1, seen))
    return packed


def _body(error: BaseException, pickling: Pickling) -> _Packed:
    try:
        body = pickling.dumps(_AsItself(error))
        if type(pickling.loads(body)) is type(error):
            return _Packed(body)
    except Exception:
        pass  # an __init__ that wants other arguments, or an attribute that cannot be pickled
    text = (type(error).__name__, _text(error))
    try:
        cls = pickling.dumps(type(error))
        args = pickling.dumps(_sendable(error.args, pickling))
        attributes = {name: value for name, value in vars(error).items() if _works(value, pickling)}
        packed = _Packed(None, cls, args, pickling.dumps(attributes), text)
        _assemble(packed, pickling)
        return packed
    except Exception:
        return _Packed(None, text=text)


def _sendable(args: tuple[Any, ...], pickling: Pickling) -> tuple[Any, ...]:
    from flowdeck.previews import safe_repr

    return tuple(arg if _works(arg, pickling) else safe_repr(arg) for arg in args)


def _works(value: Any, pickling: Pickling) -> bool:
    try:
        pickling.loads(pickling.dumps(value))
    except Exception:
        return False
    return True


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as bad:
        return f"<no text: its __str__ raised {type(bad).__name__}>"


def _assemble(packed: _Packed, pickling: Pickling) -> BaseException:
    """Build an exception without calling its ``__init__``."""
    assert packed.cls is not None
    assert packed.args is not None
    assert packed.state is not None
    cls = pickling.loads(packed.cls)
    args = pickling.loads(packed.args)
    try:
        error: BaseException = cls.__new__(cls, *args)
    except TypeError:
        error = BaseException.__new__(cls)
    error.args = args
    vars(error).update(pickling.loads(packed.state))
    return error


def _unpack(packed: _Packed, pickling: Pickling) -> BaseException:
    error = _bare(packed, pickling)
    if packed.cause is not None:
        error.__cause__ = _unpack(packed.cause, pickling)
    if packed.context is not None:
        error.__context__ = _unpack(packed.context, pickling)
    error.__suppress_context__ = packed.suppressed
    return error.with_traceback(_traceback(packed.places))


def _bare(packed: _Packed, pickling: Pickling) -> BaseException:
    try:
        if packed.body is not None:
            error: BaseException = pickling.loads(packed.body)
            return error
        if packed.cls is not None:
            return _assemble(packed, pickling)
    except Exception:
        pass  # its class cannot be imported here
    kind, text = packed.text
    wrapper = FailedRun if packed.is_exception else CrashedRun
    return wrapper(f"{kind}: {text}" if kind else "The exception of the task cannot be read here.")


# -- tracebacks ------------------------------------------------------------------------------------------


def _places(traceback: TracebackType | None) -> list[Place]:
    """Return (file, function, line) of each frame, without the engine's that come first."""
    found: list[Place] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if found or not code.co_filename.startswith(_ENGINE):
            found.append((code.co_filename, code.co_name, traceback.tb_lineno or 1))
        traceback = traceback.tb_next
    half = _FRAMES // 2
    return found if len(found) <= _FRAMES else found[:half] + found[-half:]


def _traceback(places: list[Place]) -> TracebackType | None:
    """Build a traceback that shows these places; its frames have no variables."""
    traceback: TracebackType | None = None
    for file, function, line in reversed(places):
        frame = _frame(file, function, line)
        if frame is not None:
            traceback = TracebackType(traceback, frame, 0, line)
    return traceback


def _frame(file: str, function: str, line: int) -> Any:
    code = _code(file, function, line)
    try:
        exec(code, {"__name__": function, "__file__": file})
    except ZeroDivisionError as error:
        inner = error.__traceback__ and error.__traceback__.tb_next
        return inner and inner.tb_frame
    return None  # pragma: no cover - the code always raises


def _code(file: str, function: str, line: int) -> CodeType:
    # All that is executed is a division by zero: only the names around it come from elsewhere.
    return _RAISE.replace(
        co_filename=file, co_name=function, co_qualname=function, co_firstlineno=max(line, 1)
    )


def _on_one_line(code: CodeType) -> CodeType:
    """Return the code with all of it on its first line, in no particular column."""
    units = len(code.co_code) // 2
    table = b""
    while units > 0:
        taken = min(units, 8)
        # An entry of the location table: kind 13 (a line, no columns), how many code units, and
        # the distance to the line before.
        table += bytes([0x80 | 13 << 3 | taken - 1, 0])
        units -= taken
    return code.replace(co_linetable=table)


_RAISE: Final = _on_one_line(compile("0 / 0", "<elsewhere>", "exec"))
