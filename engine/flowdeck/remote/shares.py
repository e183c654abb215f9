"""Big arguments that several task runs of a flow run have in common: on the cluster once.

Without this, 200 tasks that share an array send it 200 times. Engines offer ``scatter`` and ``put``, but
then users must think of it, and of when to free it. Here it happens by itself, and nobody may notice: a
task must get what was submitted, also if the flow changes the array in place afterwards.

What is shared is what was submitted. All children of one ``.map`` get their whole arguments by one call,
so these are the same without looking. An object that is submitted again, alone or in a small container,
is pickled again and compared with what is on the cluster; that costs a look at its bytes, which is far
less than sending them. Only what nobody can change (texts, read-only arrays) needs no look. An object
that comes for the first time travels with its run as ever: most come once.

A share lives on the cluster for as long as a task run that needs it, and a second longer, because the next
one may be submitted soon. Each task run makes its own value of the bytes there, and may write on it
(:mod:`flowdeck.remote.parts`).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from flowdeck.inputs import nested
from flowdeck.logging import WARNING, line
from flowdeck.remote.parts import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowdeck.remote.pickling import Pickling
    from flowdeck.runs.task_run import Common, TaskRun

#: Bytes of its pickle from which on an argument is put on the cluster when it comes again.
BIG: Final = 256 * 1024
#: Bytes from which on an argument that is sent again and again is spoken of, and at which time.
_HUGE: Final = 10_000_000
_AGAIN: Final = 3
#: Seconds for which a value stays though no task run needs it: the next one may be submitted soon.
LINGER: Final = 1.0
#: Objects that are remembered as having been part of big arguments.
_REMEMBERED: Final = 1024
#: How far containers are looked into, for big objects in them.
_ITEMS: Final = 32
_DEPTH: Final = 2
_TEXTS: Final = frozenset({str, bytes})
_CONTAINERS: Final = frozenset({list, tuple, dict})


class Share:
    """A value on the cluster, for as long as somebody holds this.

    Attributes:
        handle: the engine's.
        known_by: what tells whether the argument is still what it was when it was put.
        source: the object itself, if it is one that does not change.
    """

    __slots__ = ("__weakref__", "handle", "known_by", "source")

    def __init__(
        self, handle: Any, known_by: Part | bytes | None = None, source: Any = None
    ) -> None:
        self.handle = handle
        self.known_by = known_by
        self.source = source


class _Known:
    """An object that was part of a big argument."""

    __slots__ = ("ref", "share")

    def __init__(self, value: Any) -> None:
        self.ref = _reference(value)
        self.share: Callable[[], Share | None] = _nothing

    def is_of(self, value: Any) -> bool:
        return self.ref is None or self.ref() is value


class Shares:
    """The shared arguments of one flow run. Safe to use from several threads.

    Args:
        pickling: the engine's flavour.
        put: puts a part on the cluster, and returns the engine's handle of it.
    """

    def __init__(self, pickling: Pickling, put: Callable[[Part], Any]) -> None:
        self._pickling = pickling
        self._put = put
        self._lock = threading.RLock()
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._recent: dict[Share, float] = {}
        self._sent: dict[str, int] = {}

    def find(self, run: TaskRun, name: str, value: Any, *, whole: bool = True) -> Share | None:
        """Return what stands for an argument of a run on the cluster; ``None`` if it shall travel with
        the run.

        Args:
            run: whose.
            name: of the argument.
            value: the argument, or an item in it.
            whole: it is the argument itself.
        """
        kind = type(value)
        if kind in nested.ATOMIC and (kind not in _TEXTS or len(value) < BIG):
            return None
        if run.common is None and not self._known:
            return None
        with self._lock:
            common = run.common.get(name) if run.common is not None and whole else None
            if common is not None:
                return self._mark_used(self._share_of_map(value, common))
            known = self._known.get(id(value))
            if known is None:
                return None
            if not known.is_of(value):
                del self._known[id(value)]
                return None
            return self._mark_used(self._share_of_known(run, name, value, known))

    def looks_into(self, value: Any) -> bool:
        """Say whether items of a container may be shared on their own."""
        return bool(self._known) and type(value) in _CONTAINERS and len(value) <= _ITEMS

    def note(self, run: TaskRun, parameters: dict[str, Any], size: int) -> None:
        """Remember what may be big in arguments that travel with a run.

        Args:
            run: whose.
            parameters: its arguments.
            size: bytes of all together.
        """
        with self._lock:
            for value in parameters.values():
                for item in _items(value):
                    self._known.setdefault(id(item), _Known(item))
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            if size > _HUGE:
                self._warn(run, parameters, size)

    def tick(self) -> None:
        """Let go of what was not needed for a while."""
        if not self._recent:
            return
        with self._lock:
            due = time.monotonic() - LINGER
            for share, used in list(self._recent.items()):
                if used < due:
                    del self._recent[share]

    # -- one object ----------------------------------------------------------------------------------

    def _share_of_map(self, value: Any, common: Common) -> Share | None:
        """All children of a `.map` get this: it is looked at once."""
        if not common.is_known:
            common.is_known = True
            part = self._part_of(value)
            if part is not None:
                common.share = Share(self._put(part))
        share: Share | None = common.share
        return share

    def _share_of_known(self, run: TaskRun, name: str, value: Any, known: _Known) -> Share | None:
        share = known.share()
        if share is not None and share.source is value:
            return share
        part = self._part_of(value)
        if part is None:
            self._known.pop(id(value), None)
            return None
        if share is None or share.known_by is None or not part.is_same(share.known_by):
            if part.size > _HUGE:
                self._warn(run, {name: value}, part.size)
            share = self._put_share(value, part)
            known.share = weakref.ref(share)
        return share

    def _put_share(self, value: Any, part: Part) -> Share:
        if _is_unchanging(value):
            return Share(self._put(part), source=value)
        known_by = part.known_by()
        return Share(self._put(known_by if isinstance(known_by, Part) else part), known_by)

    def _part_of(self, value: Any) -> Part | None:
        """Return the value as a part; ``None`` if it is small, or must travel with its run."""
        if nested.find(value):
            return None
        try:
            part = Part.of(value, self._pickling)
        except Exception:  # said of the run that it belongs to
            return None
        return part if part.size >= BIG else None

    def _mark_used(self, share: Share | None) -> Share | None:
        if share is not None:
            self._recent[share] = time.monotonic()
        return share

    def _warn(self, run: TaskRun, parameters: dict[str, Any], size: int) -> None:
        """Say, once, that an argument is sent again and again."""
        count = self._sent[run.task.key] = self._sent.get(run.task.key, 0) + 1
        if count != _AGAIN:
            return
        if len(parameters) > 1:
            sizes = {name: self._size(value) for name, value in parameters.items()}
            name = max(sizes, key=lambda name: sizes[name])
        else:
            (name,) = parameters
        line(
            run.owner,
            WARNING,
            f"Argument {name!r} of task {run.task.name!r} was sent to the cluster {count} times, "
            f"about {size / 1e6:,.0f} MB each time: it is another object, or has changed, each time. "
            "What stays the same is sent once. What does not, tasks had better make or load "
            "themselves: pass the future of the task that makes it, or a path.",
        )

    def _size(self, value: Any) -> int:
        try:
            return Part.of(value, self._pickling).size
        except Exception:  # not by itself: it has a future in it
            return 0


def has_big_text(values: Iterable[Any]) -> bool:
    """Say whether one of some values is a text that is worth sharing."""
    return any(type(value) in _TEXTS and len(value) >= BIG for value in values)


_SMALL: Final = nested.ATOMIC - _TEXTS


def _nothing() -> None:
    return None


def _reference(value: Any) -> Callable[[], Any] | None:
    try:
        return weakref.ref(value)
    except TypeError:  # a list, a text: what is in it is compared anyway
        return None


def _items(value: Any, depth: int = _DEPTH) -> Iterator[Any]:
    """Yield what in an argument may be big by itself: it, and the items of small containers."""
    kind = type(value)
    if kind in _SMALL or (kind in _TEXTS and len(value) < BIG):
        return
    yield value
    if kind in _CONTAINERS and len(value) <= _ITEMS and depth:
        for item in value.values() if kind is dict else value:
            yield from _items(item, depth - 1)


def _is_unchanging(value: Any) -> bool:
    """Say whether nobody changes an object by mistake: texts, arrays that are read-only down to
    what they are views of."""
    while value is not None:
        if type(value) in _TEXTS:
            return True
        flags = getattr(value, "flags", None)
        if type(value).__module__ != "numpy" or getattr(flags, "writeable", True):
            return False
        value = value.base
    return True
