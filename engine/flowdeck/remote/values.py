"""Values of task runs that executed in another process: what stays there, what rides along."""

from __future__ import annotations

import functools
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from flowdeck.inputs import nested
from flowdeck.remote import errors
from flowdeck.remote.parts import Part
from flowdeck.remote.pickling import Pickling
from flowdeck.remote.sizes import CARRY, weight
from flowdeck.runs.scheduler import UpstreamEnd, passes
from flowdeck.states import LazyValue
from flowdeck.states.lazy_values import ClusterValue
from flowdeck.values.marks import mark_of
from flowdeck.values.statics import is_a
from flowdeck_store.states import COMPLETED

if TYPE_CHECKING:
    from collections.abc import Sequence


@functools.cache
def pickling_of(module: str) -> Pickling:
    """Return this process's pickling of one flavour."""
    return Pickling(module)


# -- from a worker -----------------------------------------------------------------------------------


class Reply:
    """How an execution ended, as the engine keeps it: dependents on any worker get it as input.

    Attributes:
        code: of the final state.
        blocked_by: uid of the upstream because of which the function was not called.
        content: the value of a completed run, the exception (or data) of one that did not.
        pickling: the flavour of cloudpickle it travels by.
    """

    __slots__ = ("blocked_by", "code", "content", "pickling")

    def __init__(self, code: int, content: Any, pickling: str, blocked_by: str | None = None):
        self.code = code
        self.content = content
        self.pickling = pickling
        self.blocked_by = blocked_by

    def passes(self, failure_allowed: bool) -> bool:
        """Say whether a dependent may start."""
        return passes(
            UpstreamEnd.OK if self.code == COMPLETED else UpstreamEnd.BAD, failure_allowed
        )

    def brief(self) -> Reply | bytes:
        """Return it as bytes if it is small: engines handle those with less ado."""
        if not is_atom(self.content):
            return self
        return pickle.dumps((self.code, self.content, self.pickling, self.blocked_by), 5)

    @staticmethod
    def of(brief: Reply | bytes) -> Reply:
        """Return the reply that :meth:`brief` was called of."""
        return Reply(*pickle.loads(brief)) if type(brief) is bytes else brief  # type: ignore[return-value]

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Pickled here, not by the engine: what is the user's goes by value, and no engine tries to
        # import the user's modules to find that out. Big buffers stay outside.
        found = pickling_of(self.pickling)
        if is_a(self.content, BaseException):
            error = errors.pack(self.content, found)
            return _open_error, (self.code, error, self.pickling, self.blocked_by)
        if protocol < 5:
            body = found.dumps(self.content)
            return _open, (self.code, self.pickling, self.blocked_by, body)
        part = Part.of(self.content, found)
        if part.is_plain:
            return _open, (self.code, self.pickling, self.blocked_by, part.body)
        return _open_part, (self.code, self.pickling, self.blocked_by, part)


def weigh(reply: Reply | bytes, limit: int) -> int | None:
    """Return how many bytes a reply's value has as a pickle; ``None`` if more than ``limit``."""
    found = Reply.of(reply)
    return weight(found.content, pickling_of(found.pickling), limit)


def _open(code: int, pickling: str, blocked_by: str | None, body: bytes) -> Reply:
    return Reply(code, Pickling.loads(body), pickling, blocked_by)


def _open_part(code: int, pickling: str, blocked_by: str | None, part: Part) -> Reply:
    return Reply(code, part.taken(), pickling, blocked_by)


def _open_error(code: int, data: bytes, pickling: str, blocked_by: str | None) -> Reply:
    error = errors.unpack(data)
    return Reply(code, error, pickling, blocked_by)


# -- on the way to a worker ------------------------------------------------------------------------------


@nested.stands_for_a_result
class Given:
    """Stands in a task run's parameters for a future or state, and holds its value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def task_run(self) -> Given:
        return self

    @property
    def state(self) -> _GivenState:
        return _GivenState(self.value)


class _GivenState:
    """As much of a state as the look at the inputs needs."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def value(self, raise_on_failure: bool = True) -> Any:
        return self._value

    def value_or_reason(self) -> Any:
        return self._value


class Input:
    """Stands in a task run's parameters for the value of the upstream with this index; becomes a
    :class:`Given` when it is unpickled inside :class:`Inputs`."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> Any:
        return _given, (self.index,)


class CarriedInput:
    """The same for a value that the flow's process has as bytes: they are not looked into there."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        return _given_bytes, (self.data,)


class _Unpickling(threading.local):
    replies: Sequence[Reply | Part] = ()
    given: dict[int, Given] = {}  # noqa: RUF012 - never changed: each look has its own


_unpickling = _Unpickling()


def unpickle_parameters(
    body: bytes | dict[str, Any], replies: Sequence[Reply | Part]
) -> dict[str, Any]:
    """Return the parameters, the values of upstreams in their places."""
    if type(body) is dict:
        return body
    assert type(body) is bytes
    before = _unpickling.replies, _unpickling.given
    _unpickling.replies, _unpickling.given = replies, {}
    try:
        parameters: dict[str, Any] = Pickling.loads(body)
        return parameters
    finally:
        _unpickling.replies, _unpickling.given = before


def _given(index: int) -> Given:
    """Return what stands for a value; for the same one the same, wherever it is in an argument."""
    found = _unpickling.given.get(index)
    if found is None:
        found = _unpickling.given[index] = Given(_unpickling.replies[index].content)
    return found


def _given_bytes(data: bytes) -> Given:
    return Given(Pickling.loads(data))


# -- in the flow's process -------------------------------------------------------------------------------


class Carried(LazyValue):
    """A value that came along as bytes; unpickled when somebody asks, then kept."""

    __slots__ = ("_data", "_mark", "_value")

    def __init__(self, data: bytes) -> None:
        self._data: bytes | None = data
        self._value: Any = None
        self._mark: str | None = None

    def load(self) -> Any:
        """Return the value; raises what unpickling raises."""
        data = self._data
        if data is not None:
            value = Pickling.loads(data)
            mark = mark_of(value)
            if self._data is not None:  # two threads may ask: both get the first one's object
                self._value, self._mark, self._data = value, mark, None
        return self._value

    def is_changed(self) -> bool:
        """Say whether code here has changed the value since it was unpickled."""
        return self._data is None and (self._mark is None or self._mark != mark_of(self._value))

    def as_input(self) -> CarriedInput | Given:
        """Return what stands for it in the parameters of a dependent."""
        data = self._data
        return Given(self._value) if data is None else CarriedInput(data)


class RemoteValue(ClusterValue):
    """A value that stays on the cluster until somebody asks for it.

    It is not kept here after that, but the same object is returned for as long as somebody holds it
    (where objects of its type can be referred to weakly).
    """

    __slots__ = ("__weakref__", "_kept", "_loaded", "_mark", "handle", "runs")

    def __init__(self, runs: Any, handle: Any, size: int | None = None) -> None:
        self.runs = runs
        self.handle = handle
        super().__init__(size)
        self._loaded: Any = None
        self._mark: str | None = None
        self._kept = False

    def load(self) -> Any:
        """Return the value, moved here from the cluster.

        Raises:
            MissingResult: it is gone.
        """
        loaded = self._loaded
        if self._kept:
            return loaded
        value = loaded() if loaded is not None else None
        if value is None:
            value = self.runs.fetch(self.handle).content
            try:
                self._loaded = weakref.ref(value)
                self._mark = mark_of(value)
            except TypeError:
                pass  # a list, a dict...: fetched anew each time
        return value

    @property
    def is_remote(self) -> bool:
        return not self._kept and (self._loaded is None or self._loaded() is None)

    def keep(self) -> None:
        """Move the value here for good, because the cluster goes away."""
        value = self.load()
        if self._mark is None:
            self._mark = mark_of(value)
        self._loaded, self._kept = value, True
        self.handle = None

    def is_changed(self) -> bool:
        """Say whether code here has changed what :meth:`load` gives since it came from the cluster."""
        value = self._loaded if self._kept or self._loaded is None else self._loaded()
        return value is not None and (self._mark is None or self._mark != mark_of(value))

    def forget(self, error: Exception) -> None:
        """From now on raise ``error``: the cluster is gone and the value with it."""
        self.runs, self.handle = _Gone(error), None


class _Gone:
    """A cluster that is gone."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def fetch(self, handle: Any) -> Any:
        raise self._error


def is_atom(value: Any) -> bool:
    """Say whether a value may ride along as it is."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) <= CARRY
    return kind in _ATOMS


_ATOMS: Final = frozenset({int, float, bool, type(None)})
assert _ATOMS <= nested.ATOMIC
