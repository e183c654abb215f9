"""What is kept of an exception: captured where it was raised, while its frames still exist.

The record is data: it shows the chain of causes, the source lines as they were and the local
variables, without unpickling anything and without the source files. Everything is bounded: the time
taken, the size, the length of chains that may be cyclic, the reprs that are code of users. Capturing
never raises; in the worst case the record says less.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from flowdeck.failures.budget import fit
from flowdeck.failures.frames import Place, Sources, places
from flowdeck.failures.text import render
from flowdeck.values.previews import safe_reprs
from flowdeck.values.redaction import HIDDEN, is_hidden, names_in_force, without_secrets
from flowdeck.values.statics import (
    bound,
    encodable,
    module_of,
    qualified_name,
    qualname,
    static_attribute,
    type_name,
)
from flowdeck_store import clock
from flowdeck_store.failures import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Budget", "Captured", "capture", "render"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one capture may cost."""

    seconds: float = 0.1  # for all reprs and messages together
    size: int = 64 * 1024  # characters of the record
    frames: int = 100  # per exception: both ends of a longer traceback
    variables: int = 40  # local variables per frame
    repr: int = 200  # characters per variable
    message: int = 4000  # characters per message
    exceptions: int = 30  # causes, contexts and members of groups together
    source: int = 7  # source lines before and after the current one


_BUDGET: Final = Budget()
_NOTES: Final = 10
#: Shorter secrets are not looked for in other variables: they would be found everywhere.
_GUESSABLE: Final = 6


@dataclass(frozen=True, slots=True)
class Captured:
    """A captured exception, ready for the record.

    Attributes:
        exc_type: name of the type, with its module unless built in.
        exc_msg: ``str(error)``, bounded.
        structure: JSON of what equal failures share.
        variables: JSON of what is this failure's own; see :mod:`flowdeck_store.failures`.
        text: the traceback as plain text, for the log.
        secrets: what hidden variables hold.
    """

    exc_type: str
    exc_msg: str
    structure: str
    variables: str
    text: str
    secrets: frozenset[str] = frozenset()

    def without_secrets(self, text: str) -> str:
        """Return another text about the failure without what its hidden variables hold."""
        return _without(self.secrets, text)


def _without(secrets: Iterable[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def capture(
    exc: BaseException,
    *,
    skip_engine: bool = True,
    redact: Callable[[str], bool] | Literal["setting"] | None = "setting",
    budget: Budget = _BUDGET,
) -> Captured:
    """Capture an exception with its frames, chain and local variables; never raises.

    Args:
        exc: the exception, with its traceback.
        skip_engine: leave out the engine's frames before those of the user's function.
        redact: says which names (of variables, fields, dict keys) hold secrets; ``None``: none;
            ``"setting"``: those of the setting ``redact``.
        budget: limits of time and size.
    """
    hidden: frozenset[str] = frozenset()
    try:
        hides = names_in_force() if redact == "setting" else redact
        capturing = _Capture(budget, skip_engine, hides)
        exception = capturing.run(exc)
        hidden = frozenset(capturing.secrets)
    except Exception as problem:
        # A bug in here, or no memory left, must not hide the user's exception.
        exception = _bare(exc)
        exception["message"] = without_secrets(exception["message"])
        exception["truncated"] = f"capturing more failed: {type_name(problem)}"
    structure, variables = split(exception)
    return Captured(
        encodable(qualified_name(type(exc))),
        exception["message"],
        structure,
        variables,
        render(exception),
        hidden,
    )


def _bare(exc: BaseException) -> dict[str, Any]:
    cls = type(exc)
    return {
        "type": encodable(qualname(cls)),
        "module": encodable(module_of(cls)),
        "message": _plain_message(exc) or "",
        "notes": [],
        "frames": [],
        "cause": None,
        "context": None,
        "suppress_context": bool(_get(exc, "__suppress_context__")),
        "group": [],
    }


def _get(exc: BaseException, name: str) -> Any:
    """Return an attribute that every exception has, also if a subclass hides it with code."""
    return BaseException.__dict__[name].__get__(exc)


#: The ``__str__`` of the built-in exceptions, which call no code but that of their arguments.
_BUILT_IN_STR: Final = frozenset(
    cls.__str__
    for cls in vars(builtins).values()
    if isinstance(cls, type) and issubclass(cls, BaseException)
)
_ATOMS: Final = frozenset({str, int, float, bool, type(None)})


def _plain_message(exc: BaseException) -> str | None:
    """Return ``str(exc)`` if no code of users can be involved, ``None`` otherwise."""
    if static_attribute(type(exc), "__str__") not in _BUILT_IN_STR:
        return None
    values = _get(exc, "args")
    if issubclass(type(exc), OSError):
        values += OSError.filename.__get__(exc), OSError.filename2.__get__(exc)
    if any(type(value) not in _ATOMS for value in values):
        return None
    try:
        return encodable(str(exc))
    except Exception:  # an int of too many digits
        return None


class _Message:
    """Makes ``str(error)`` available as a repr, so that it gets the same protection."""

    def __init__(self, error: object) -> None:
        self.error = error

    def __repr__(self) -> str:
        return str(self.error)


class _Capture:
    """One capture: first everything that needs no code of users, then messages, then variables."""

    def __init__(
        self, budget: Budget, skip_engine: bool, redact: Callable[[str], bool] | None
    ) -> None:
        self.budget = budget
        self.skip_engine = skip_engine
        self.redact = redact
        self.sources = Sources(budget.source, redact)
        self.seen: set[int] = set()
        self.messages: list[tuple[dict[str, Any], str, _Message]] = []
        self.exceptions: list[dict[str, Any]] = []
        self.variables: list[tuple[dict[str, Any], object]] = []
        self.secrets: set[str] = set()  # what hidden variables hold may be in others too

    def run(self, exc: BaseException) -> dict[str, Any]:
        end = clock.monotonic() + self.budget.seconds
        root = self.exception(exc)
        texts = [value for _, _, value in self.messages]
        self.fill_messages(safe_reprs(texts, self.budget.message, seconds=self.left(end)))
        self.hide_in_messages()
        values = [value for _, value in self.variables]
        shown = safe_reprs(values, self.budget.repr, seconds=self.left(end), hides=self.redact)
        for (variable, _), text in zip(self.variables, shown, strict=True):
            variable["repr"] = bound(_without(self.secrets, text), self.budget.repr)
        return fit(root, self.budget.size)

    def left(self, end: float) -> float:
        return max(end - clock.monotonic(), self.budget.seconds / 10)

    def fill_messages(self, texts: list[str]) -> None:
        for (target, key, value), text in zip(self.messages, texts, strict=True):
            if text.startswith("<_Message"):
                what = f"<str() of {type_name(value.error)}"
                text = text.replace("<_Message repr", what, 1).replace("<_Message", what, 1)
            if key == "notes":
                target[key].append(text)
            else:
                target[key] = text

    def hide_in_messages(self) -> None:
        """Hide in messages and notes what is hidden in variables."""
        if self.redact is None:
            return
        for found in self.exceptions:
            found["message"] = self.concealed(found["message"])
            found["notes"] = [self.concealed(note) for note in found["notes"]]
            for frame in found["frames"] if self.secrets else ():
                self.hide_in_source(frame)
            text = found.get("syntax", {}).get("text")
            if text:
                found["syntax"]["text"] = without_secrets(text, self.redact, code=True)

    def hide_in_source(self, frame: dict[str, Any]) -> None:
        """Hide what a hidden variable holds where it is written as a literal."""
        if frame["source"] is None:
            return
        first, lines = frame["source"]
        hidden = [_without(self.secrets, line) for line in lines]
        if hidden != lines:
            frame["source"] = [first, hidden]
            if hidden[frame["lineno"] - first] != lines[frame["lineno"] - first]:
                frame["col"] = frame["end_col"] = None  # they would point beside what is left

    def concealed(self, text: str) -> str:
        assert self.redact is not None
        hidden = without_secrets(_without(self.secrets, text), self.redact)
        return bound(hidden, self.budget.message)

    # -- one exception ----------------------------------------------------------------------

    def exception(self, exc: BaseException) -> dict[str, Any]:
        self.seen.add(id(exc))
        found = _bare(exc)
        self.exceptions.append(found)
        self.ask_message(found, exc)
        self.frames(found, exc)
        self.syntax(found, exc)
        cause, context = _get(exc, "__cause__"), _get(exc, "__context__")
        if cause is not None:
            found["cause"] = self.linked(cause, found)
        elif context is not None and not found["suppress_context"]:
            found["context"] = self.linked(context, found)
        if issubclass(type(exc), BaseExceptionGroup):
            members = BaseExceptionGroup.__dict__["exceptions"].__get__(exc)
            kept = [self.linked(member, found) for member in members]
            found["group"] = [member for member in kept if member is not None]
        return found

    def linked(self, exc: BaseException, of: dict[str, Any]) -> dict[str, Any] | None:
        if id(exc) in self.seen:
            return None  # a chain that bites its own tail
        if len(self.seen) >= self.budget.exceptions:
            _note(of, "more exceptions are left out")
            return None
        return self.exception(exc)

    def ask_message(self, found: dict[str, Any], exc: BaseException) -> None:
        plain = _plain_message(exc)
        if plain is None:
            self.messages.append((found, "message", _Message(exc)))
        else:
            found["message"] = bound(plain, self.budget.message)
        notes = object.__getattribute__(exc, "__dict__").get("__notes__")
        if type(notes) in {list, tuple}:
            for note in notes[:_NOTES]:
                if type(note) is str:
                    found["notes"].append(bound(encodable(note), self.budget.message))
                else:
                    self.messages.append((found, "notes", _Message(note)))

    def syntax(self, found: dict[str, Any], exc: BaseException) -> None:
        if not issubclass(type(exc), SyntaxError):
            return
        keys = {"file": "filename", "lineno": "lineno", "end_lineno": "end_lineno",
                "col": "offset", "end_col": "end_offset", "text": "text"}  # fmt: skip
        place = {key: SyntaxError.__dict__[name].__get__(exc) for key, name in keys.items()}
        for key, value in place.items():
            if type(value) is str:
                place[key] = encodable(value.rstrip("\r\n"))[: self.budget.repr]
            elif type(value) is not int:
                place[key] = None
            elif key.endswith("col"):
                place[key] = value - 1  # SyntaxError counts columns from 1
        found["syntax"] = place

    # -- frames -------------------------------------------------------------------------------

    def frames(self, found: dict[str, Any], exc: BaseException) -> None:
        levels = places(
            _get(exc, "__traceback__"), self.budget.frames, skip_engine=self.skip_engine
        )
        for number, place in enumerate(levels, 1):
            is_user = place.is_user
            described = self.sources.describe(place, is_user)
            described["locals"] = []
            if is_user or number == len(levels):
                self.locals(described["locals"], place)
            found["frames"].append(described)
            if place.skipped:
                _note(found, f"{place.skipped} frames are left out")

    def locals(self, described: list[dict[str, Any]], place: Place) -> None:
        try:
            variables = dict(place.frame.f_locals)
        except Exception:  # the frame is running in another thread
            return
        names = _interesting(variables, place)
        for name in names[: self.budget.variables]:
            value = variables[name]
            variable: dict[str, Any] = {
                "name": encodable(str(name)),
                "type": encodable(type_name(value)),
                "repr": HIDDEN,
            }
            described.append(variable)
            if self.hides(name, value):
                variable["hidden"] = True
                if type(value) is str and len(value) >= _GUESSABLE:
                    self.secrets.add(value)
                continue
            size = _size(value)
            if size is not None:
                variable["size"] = size
            self.variables.append((variable, value))

    def hides(self, name: str, value: object) -> bool:
        """Say whether to hide a variable; that a secret is missing is shown."""
        return self.redact is not None and is_hidden(name, value, self.redact)


def _note(found: dict[str, Any], text: str) -> None:
    before = found.get("truncated", "")
    if text not in before:
        found["truncated"] = f"{before}; {text}" if before else text


def _interesting(variables: dict[str, Any], place: Place) -> list[str]:
    names = [name for name in variables if type(name) is str and not name.startswith("__")]
    if place.frame.f_code.co_name != "<module>":
        return names
    # The variables of a module are mostly what it imports and defines: the data comes first.
    kinds = {"module", "function", "type", "builtin_function_or_method"}
    return [name for name in names if type_name(variables[name]) not in kinds]


_SIZED: Final = (list, tuple, dict, set, frozenset, str, bytes, bytearray)


def _size(value: object) -> int | None:
    """Return how many items a built-in container has."""
    for kind in _SIZED:
        if issubclass(type(value), kind):
            return kind.__len__(value)  # type: ignore[arg-type]
    return None
