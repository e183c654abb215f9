"""Exceptions on their way between processes: type, arguments, attributes, causes and traceback.

Pickle alone loses causes and traceback, and cannot bring back exceptions whose ``__init__`` does not
fit their ``args``, which is common. So the picklers of :mod:`flowdeck.remote.pickling` have every exception
packed here, wherever in a value it is: in a group, in an attribute of another one, in what a task
returns. What cannot travel at all is replaced by a stand-in that says what it was.
"""

from __future__ import annotations

import os
import pickle
import threading
from dataclasses import dataclass, field
from types import CodeType, GetSetDescriptorType, MemberDescriptorType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowdeck.exceptions import CrashedRun, FailedRun

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Causes of causes, and exceptions in exceptions, that travel.
_DEPTH: Final = 10
_LEVELS: Final = 25
_FRAMES: Final = 100
_ENGINE: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")

Place = tuple[str, str, int]


class ValuePickling(Protocol):
    """What pickles the values in an exception: a :class:`flowdeck.remote.pickling.Pickling`."""

    @property
    def module(self) -> str:
        """The flavour of cloudpickle."""

    def dumps(self, value: Any) -> bytes:
        """Return a value as bytes; raises what pickling raises."""

    def loads(self, data: Any) -> Any:
        """Return the value that the bytes were made from; raises what unpickling raises."""


@dataclass(slots=True)
class _Packed:
    """One exception of a chain."""

    body: bytes | None  # pickled whole
    cls: bytes | None = None  # or its parts
    args: bytes | None = None
    state: bytes | None = None
    text: tuple[str, str] = ("", "")  # what it was
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


class _Packing(threading.local):
    """What this thread packs, one inside the other; and what it has packed for the outermost one,
    since there is more than one try to pickle a thing, and at each of them all that is in it."""

    def __init__(self) -> None:
        self.active: set[int] = set()
        self.done: dict[int, tuple[BaseException, bytes]] = {}
        self.level = 0


_packing: Final = _Packing()


def pack(error: BaseException, pickling: ValuePickling) -> bytes:
    """Return the exception as bytes; never raises."""
    known = _packing.done.get(id(error))
    if known is not None:
        return known[1]
    if id(error) in _packing.active or _packing.level >= _LEVELS:
        return pickle.dumps(_stand_in(error))
    _packing.level += 1
    try:
        data = pickle.dumps(_pack(error, pickling, _DEPTH, set()))
        _packing.done[id(error)] = error, data
        return data
    finally:
        _packing.level -= 1
        if not _packing.level:
            _packing.done.clear()


def unpack(data: bytes) -> BaseException:
    """Return the exception that :func:`pack` made the bytes from, or a stand-in; never raises."""
    try:
        return _unpack(pickle.loads(data))
    except Exception as problem:
        return FailedRun(f"The task's exception cannot be read here: {_text(problem)}")


def reduced(error: BaseException, pickling: ValuePickling) -> tuple[Any, ...]:
    """Return what a pickler of :mod:`flowdeck.remote.pickling` writes for an exception in a value."""
    return unpack, (pack(error, pickling),)


def _pack(error: BaseException, pickling: ValuePickling, depth: int, seen: set[int]) -> _Packed:
    seen.add(id(error))
    outer = id(error) in _packing.active
    _packing.active.add(id(error))
    try:
        packed = _body(error, pickling)
        packed.places = _places(error.__traceback__)
        packed.suppressed = bool(error.__suppress_context__)
        for name in ("cause", "context"):
            other = getattr(error, f"__{name}__")
            if other is not None and depth and id(other) not in seen | _packing.active:
                setattr(packed, name, _pack(other, pickling, depth - 1, seen))
        return packed
    finally:
        if not outer:
            _packing.active.discard(id(error))


def _stand_in(error: BaseException) -> _Packed:
    text = type(error).__name__, _text(error)
    return _Packed(None, text=text, is_exception=isinstance(error, Exception))


def _body(error: BaseException, pickling: ValuePickling) -> _Packed:
    packed = _stand_in(error)
    try:
        body = pickling.dumps(_AsItself(error))
        copy = pickling.loads(body)
        if type(copy) is type(error) and _text(copy) == packed.text[1]:
            packed.body = body
            return packed
    except Exception:
        pass  # an __init__ that wants other arguments, or an attribute that cannot be pickled
    try:
        packed.cls = pickling.dumps(type(error))
        packed.args = pickling.dumps(_sendable(error.args, pickling))
        attributes = {name: value for name, value in _attributes(error) if _works(value, pickling)}
        packed.state = pickling.dumps(attributes)
        _assemble(packed)
    except Exception:
        packed.cls = None
    return packed


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield what an exception has: in slots, as built-in ones do, and in its dictionary."""
    for cls in type(error).__mro__:
        for name, kind in vars(cls).items():
            is_slot = isinstance(kind, (MemberDescriptorType, GetSetDescriptorType))
            if is_slot and not name.startswith("__") and name != "args" and hasattr(error, name):
                yield name, getattr(error, name)
    yield from vars(error).items()


def _sendable(args: tuple[Any, ...], pickling: ValuePickling) -> tuple[Any, ...]:
    from flowdeck.values.previews import safe_repr

    return tuple(arg if _works(arg, pickling) else safe_repr(arg) for arg in args)


def _works(value: Any, pickling: ValuePickling) -> bool:
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


def _assemble(packed: _Packed) -> BaseException:
    """Build an exception without calling its ``__init__``."""
    assert packed.cls is not None
    assert packed.args is not None
    assert packed.state is not None
    cls = pickle.loads(packed.cls)
    args = pickle.loads(packed.args)
    error = _made(cls, args)
    error.args = args
    for name, value in pickle.loads(packed.state).items():
        try:
            object.__setattr__(error, name, value)
        except (AttributeError, TypeError):  # it cannot be set: making the exception did that
            pass
    return error


def _made(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    try:
        return cls.__new__(cls, *args)
    except TypeError:
        if not issubclass(cls, BaseExceptionGroup):
            return BaseException.__new__(cls)
    kind: Any = ExceptionGroup if issubclass(cls, ExceptionGroup) else BaseExceptionGroup
    error: BaseException = kind.__new__(cls, *args[:2])
    return error


def _unpack(packed: _Packed) -> BaseException:
    error = _bare(packed)
    if packed.cause is not None:
        error.__cause__ = _unpack(packed.cause)
    if packed.context is not None:
        error.__context__ = _unpack(packed.context)
    error.__suppress_context__ = packed.suppressed
    return error.with_traceback(_traceback(packed.places))


def _bare(packed: _Packed) -> BaseException:
    try:
        if packed.body is not None:
            error: BaseException = pickle.loads(packed.body)
            return error
        if packed.cls is not None:
            return _assemble(packed)
    except Exception:
        pass  # its class cannot be imported here
    kind, text = packed.text
    wrapper = FailedRun if packed.is_exception else CrashedRun
    return wrapper(f"{kind}: {text}")


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
