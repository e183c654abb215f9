"""Bounded texts of values for the record: reprs that cannot raise, hang or swell, and JSON.

Values of users may have a ``__repr__`` that raises, never returns or yields megabytes. Built-in
values and records are walked item by item (:mod:`flowdeck.values.safe_repr`); what only code of users can tell
is asked in a thread with a deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck.threads.deadlines import DeadlineExceeded, Interrupted, call_with_deadline
from flowdeck.values.redaction import (
    HIDDEN,
    is_hidden,
    is_secret,
    names_a_secret,
    names_in_force,
    without_secrets,
    without_shapes,
)
from flowdeck.values.safe_repr import BIG_INT, NeedsUserCode, Walker
from flowdeck.values.statics import bound, encodable, type_name
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "params_json",
    "params_reprs",
    "plain_repr",
    "preview",
    "safe_repr",
    "safe_reprs",
    "type_name",
]

#: Types whose values can be shown as they are; the fast path takes no others.
_ATOMS: Final = frozenset({int, float, bool, type(None), str})
_CONTAINERS: Final = frozenset({list, tuple, dict, set})
_SMALL: Final = 8  # items of a container on the fast path
_SHORT: Final = 100  # characters of a text in one

#: Characters of a parameter's repr.
_PARAMETER: Final = 200
#: Seconds a stopped repr gets to let go before its thread is left behind.
_GRACE: Final = 0.01


def safe_repr(
    value: object,
    limit: int = 200,
    depth: int = 2,
    seconds: float = 0.1,
    *,
    hides: Callable[[str], bool] | None = None,
) -> str:
    """Return a repr of at most ``limit`` characters; never raises, whatever the value does.

    Args:
        value: anything.
        limit: characters.
        depth: levels of containers that are shown.
        seconds: how long a ``__repr__`` of users may take before it is stopped.
        hides: says whether the value under a name (dict key, field) must not be shown.
    """
    if hides is None:
        text = plain_repr(value, limit)
        if text is not None:
            return text
    return safe_reprs((value,), limit, depth, seconds, hides=hides)[0]


def preview(value: object, limit: int = 2000) -> str:
    """Return the repr that stands for a result in the record, at most ``limit`` characters, without
    what is secret in it."""
    text = plain_repr(value, limit)
    if text is not None and _is_without_texts(text):  # most results: there is nothing to hide
        return text
    return _shown(value, limit, 4, names_in_force(), text)


def params_reprs(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return a bounded repr of each parameter; those with a secret-looking name are hidden."""
    hides = names_in_force()
    return {
        name: HIDDEN
        if is_hidden(name, value, hides)
        else _shown(value, _PARAMETER, 2, hides, plain_repr(value, _PARAMETER))
        for name, value in parameters.items()
    }


def _is_without_texts(text: str) -> bool:
    """Say whether a plain repr is of numbers alone: that of each text has quotes."""
    return "'" not in text and '"' not in text


def _shown(
    value: object, limit: int, depth: int, hides: Callable[[str], bool] | None, text: str | None
) -> str:
    """Return a bounded repr without secrets: ``text``, the plain one, if that will do."""
    kind = type(value)
    if text is not None:
        if hides is None or _is_without_texts(text):
            return text
        # In a container the names of secrets (keys, first items of pairs) are found by walking it.
        if hides is is_secret:
            if kind is str:
                return bound(without_secrets(text), limit)
            if not names_a_secret(text):
                return bound(without_shapes(text), limit)
    return safe_repr(value, limit, depth, hides=hides)


def params_json(parameters: Mapping[str, Any], limit: int, *, inside: bool = True) -> str:
    """Return the parameters as a JSON object of about ``limit`` characters.

    A value that JSON cannot hold, or that is too large, becomes the text ``<TypeName>``. Dates,
    paths, enum members, dataclasses and models become what their annotation would accept again.
    Values with a secret-looking name, in nested objects too, become ``<hidden>``.

    Args:
        parameters: of a flow run.
        limit: characters.
        inside: hide secrets inside of texts, too. Without it texts stay as they were given, so that
            the flow can be run again from them; they are not to be shown like that
            (:attr:`flowdeck_store.read.records.FlowRunRecord.params`).
    """
    from flowdeck.values.jsonable import dump_object

    return dump_object(parameters, limit, names_in_force(), inside=inside)


def safe_reprs(
    values: Sequence[object],
    limit: int = 200,
    depth: int = 2,
    seconds: float = 0.1,
    *,
    hides: Callable[[str], bool] | None = None,
) -> list[str]:
    """Return the bounded reprs of many values, with ``seconds`` for all of them together."""
    texts: list[str | None] = []
    for value in values:
        try:
            texts.append(Walker(limit, depth, hides=hides).text(value))
        except NeedsUserCode:
            texts.append(None)
        except Exception as error:
            texts.append(_failed(value, error)[:limit])
    waiting = [index for index, text in enumerate(texts) if text is None]
    if waiting:
        asked = _ask(
            [values[index] for index in waiting],
            seconds,
            lambda rest: _Turn(rest, limit, depth, hides),
        )
        for index, text in zip(waiting, asked, strict=True):
            texts[index] = text
    if hides is None:
        return [_cleaned(text or "", limit) for text in texts]
    return [_cleaned(without_secrets(text or "", hides), limit) for text in texts]


def plain_repr(value: Any, limit: int) -> str | None:
    """Return the repr of a small plain value, ``None`` if it is not one: it tells all that is in it."""
    kind = type(value)
    if kind in _ATOMS:
        if kind is str:
            if len(value) >= limit:
                return None
        elif kind is int and not -BIG_INT < value < BIG_INT:
            return None
    elif kind in _CONTAINERS and len(value) <= _SMALL:
        if not _only_atoms(value) or (kind is dict and not _only_atoms(value.values())):
            return None
    else:
        return None
    text = repr(value)
    return text if len(text) <= limit else None


def _only_atoms(items: Any) -> bool:
    for item in items:
        kind = type(item)
        if kind not in _ATOMS:
            return False
        if kind is str:
            if len(item) > _SHORT:
                return False
        elif kind is int and not -BIG_INT < item < BIG_INT:
            return False
    return True


def _cleaned(text: str, limit: int) -> str:
    return bound(encodable(text), limit)


def _failed(value: object, error: BaseException) -> str:
    try:
        reason = f"{type_name(error)}: {error}"
    except Interrupted:
        raise
    except BaseException:  # the message is made by code of users too
        reason = type_name(error)
    return f"<{type_name(value)} repr failed: {reason}>"


def _ask(values: list[object], seconds: float, make: Callable[[list[object]], _Turn]) -> list[str]:
    """Return the reprs that need code of users, stopping those that take too long."""
    texts: list[str] = []
    end = clock.monotonic() + seconds
    while len(texts) < len(values):
        left = end - clock.monotonic()
        rest = values[len(texts) :]
        if left < seconds / 50:
            return texts + [f"<{type_name(value)}: no time left to show it>" for value in rest]
        turn = make(rest)
        # One that hangs must not cost all the others their chance: it gets half of the time.
        share = left if len(rest) == 1 else left / 2
        try:
            call_with_deadline(turn.run, (), {}, share, grace=_GRACE)
            texts += turn.texts
        except DeadlineExceeded:
            texts += turn.stop()
        except RuntimeError:  # no thread can be started any more: the process is ending
            return texts + [f"<{type_name(value)}>" for value in rest]
    return texts


class _Turn:
    """Reprs taken one after the other, in a thread that may be stopped or left behind."""

    def __init__(
        self,
        values: list[object],
        limit: int,
        depth: int,
        hides: Callable[[str], bool] | None,
    ) -> None:
        self.values = values
        self.limit, self.depth, self.hides = limit, depth, hides
        self.texts: list[str] = []
        self.stopped = False
        self.walker = Walker(limit, depth)
        self.asked: object = None  # the object whose __repr__ is running

    def run(self) -> None:
        """Fill ``texts``."""
        for value in self.values:
            if self.stopped:
                return
            self.asked = value
            self.walker = Walker(self.limit, self.depth, self.ask, self.hides)
            try:
                text = self.walker.text(value)
            except Exception as error:
                text = _failed(value, error)
            self.texts.append(text)

    def ask(self, value: object) -> str:
        """Return the object's own repr; only the deadline gets out of here."""
        self.asked = value
        try:
            text = repr(value)
            return str.__getitem__(text, slice(0, self.limit + 1))
        except Interrupted:
            raise
        except BaseException as error:
            return _failed(value, error)

    def stop(self) -> list[str]:
        """Return the texts so far, the last one cut off where its time was up."""
        self.stopped = True
        texts = self.texts[: len(self.values)]
        if len(texts) < len(self.values):
            texts.append(self.walker.so_far(f"<{type_name(self.asked)} repr took too long>"))
        return texts
