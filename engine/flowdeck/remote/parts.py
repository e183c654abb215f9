"""Big values as an engine holds them: bytes that each task run makes its own value of.

On threads a task may write on its arguments, and so it must be on a cluster, though there many tasks read
the same bytes. Engines differ: Ray hands out its store's memory read-only, and code that worked on
threads failed with "assignment destination is read-only"; Dask hands out one object to all tasks of a
worker, which then see what others wrote. So a value travels as a pickle and its big buffers apart, and
each task run that asks for the value gets it with buffers of its own: a private mapping of the bytes where
the system has that (:mod:`flowdeck.remote.images`), else a copy into memory that is used again. Buffers
that were read-only where they come from are handed out as they are.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck.remote.images import images, is_unused
from flowdeck.remote.pickling import Pickling
from flowdeck.runs import failures

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Buffers of fewer bytes than this stay in the pickle.
_APART: Final = 4096

#: Bytes of a value of a task, which an engine holds for a whole machine, beyond which nobody who
#: asks for it gets a copy to write on.
LIMIT: Final = 64 * 1024 * 1024
#: Bytes of a part that is kept to see whether what it was made of has changed.
_KEPT: Final = 64 * 1024 * 1024


class Spare:
    """Memory for copies, which is used again when nobody has it any more.

    Fresh memory costs more than what is copied into it: some processes give it back at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buffers: list[bytearray] = []

    def copy(self, data: memoryview) -> bytearray:
        """Return a copy."""
        with self._lock:
            for place in range(len(self._buffers)):
                same_size = len(self._buffers[place]) == data.nbytes
                if same_size and is_unused(self._buffers, place):
                    buffer = self._buffers.pop(place)
                    break
            else:
                buffer = bytearray(data.nbytes)
            while sum(map(len, self._buffers)) + len(buffer) > _SPARE and self._buffers:
                del self._buffers[0]
            if len(buffer) <= _SPARE:
                self._buffers.append(buffer)
            memoryview(buffer)[:] = data.cast("B") if data.ndim != 1 or data.format != "B" else data
        return buffer

    def clear(self) -> None:
        """Let go of it."""
        with self._lock:
            self._buffers.clear()


#: Bytes of it.
_SPARE: Final = 64 * 1024 * 1024

spare: Final = Spare()


def let_go() -> None:
    """Let go of the memory that is held for the values of further task runs."""
    spare.clear()
    images.clear()


class Part:
    """A value on its way, or on the cluster, for whoever needs it.

    It stands among the replies of upstreams where a task executes.

    Args:
        body: the pickle, without its big buffers.
        buffers: those.
        fixed: of each, whether it was read-only where it comes from, and so is everywhere.
        name: of what arrived: parts of the same name have the same content.
    """

    __slots__ = ("_body", "_buffers", "_fixed", "_is_copy", "_name", "size")

    def __init__(
        self, body: Any, buffers: Sequence[Any], fixed: Sequence[bool], name: bytes | None = None
    ) -> None:
        self._body = body
        self._name = name
        self._buffers = [memoryview(buffer) for buffer in buffers]
        self._fixed = fixed
        self._is_copy = False
        self.size = memoryview(body).nbytes + sum(buffer.nbytes for buffer in self._buffers)

    @classmethod
    def of(cls, value: Any, pickling: Pickling) -> Part:
        """Return the part that a value becomes; its buffers are still the value's own.

        Raises:
            Exception: the value cannot be pickled.
        """
        buffers: list[memoryview] = []

        def is_small(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            if raw.nbytes < _APART:
                return True
            buffers.append(raw)
            return False

        try:
            body = pickling.dumps(value, is_small)
        except Exception:
            buffers.clear()
            body = pickling.dumps(value)  # by reference, or the same error again
        return cls(body, buffers, [buffer.readonly for buffer in buffers])

    @property
    def is_plain(self) -> bool:
        """Whether the pickle is all there is."""
        return not self._buffers

    @property
    def body(self) -> pickle.PickleBuffer:
        """The pickle, for an engine to take over."""
        return pickle.PickleBuffer(self._body)

    # -- where it is made ----------------------------------------------------------------------------

    def copy(self) -> Part:
        """Return one that does not change with the value it was made of."""
        if self._is_copy:
            return self
        copy = Part(self._body, [bytearray(buffer) for buffer in self._buffers], self._fixed)
        copy._is_copy = True
        return copy

    def known_by(self) -> Part | bytes:
        """Return what :meth:`is_same` takes: a copy if that is not too large, else a digest."""
        return self.copy() if self.size <= _KEPT else self._digest()

    def is_same(self, known: Part | bytes) -> bool:
        """Say whether the content is what it was."""
        if not isinstance(known, Part):
            return self.size > _KEPT and self._digest() == known
        return (
            self.size == known.size
            and self._body == known._body
            and len(self._buffers) == len(known._buffers)
            # Arrays of bytes are compared in one go, views item by item.
            and all(old.obj == new for old, new in zip(known._buffers, self._buffers, strict=True))
        )

    def _digest(self) -> bytes:
        digest = hashlib.sha256(self._body)
        for buffer in self._buffers:
            digest.update(b"%d:" % buffer.nbytes)
            digest.update(buffer)
        return digest.digest()

    # -- where it is used ----------------------------------------------------------------------------

    def passes(self, failure_allowed: bool) -> bool:
        """Say whether a dependent may start: it is no upstream that could have failed."""
        return True

    @property
    def content(self) -> Any:
        """The value, made anew: who gets it may write on it, and nobody else sees that."""
        own = [self._own(place) for place in range(len(self._buffers))]
        return Pickling.loads(self._body, own)

    def _own(self, place: int) -> Any:
        """Return a buffer, as one that nobody else sees unless it is read-only."""
        buffer = self._buffers[place]
        if self._fixed[place]:
            return buffer
        image = None if self._name is None else images.view((self._name, place), buffer)
        # A view in any case: users shall not get another type with the next task run.
        return memoryview(spare.copy(buffer)) if image is None else image

    def taken(self) -> Any:
        """Return the value for somebody who is the only one to get these bytes; if others see them
        too, as a copy, unless it is larger than :data:`LIMIT`: then :func:`explain` tells."""
        pairs = zip(self._buffers, self._fixed, strict=True)
        shared = sum(buffer.nbytes for buffer, fixed in pairs if buffer.readonly and not fixed)
        if 0 < shared <= LIMIT:
            return self.content
        if shared and explain not in failures.explainers:
            failures.explainers.append(explain)
        return Pickling.loads(self._body, self._buffers)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # A new one each time: what is not on its way may still change.
        name = os.urandom(12)
        if protocol < 5:
            buffers = map(bytes, self._buffers)
            return _arrived, (bytes(self._body), list(self._fixed), name, *buffers)
        outside = map(pickle.PickleBuffer, self._buffers)
        return _arrived, (self.body, list(self._fixed), name, *outside)


def _arrived(body: Any, fixed: list[bool], name: bytes, *buffers: Any) -> Part:
    return Part(body, buffers, fixed, name)


def explain(error: BaseException) -> None:
    """Add to an error what it is about, if it comes of a value that cannot be written on. Once there is
    such a value it is one of :data:`flowdeck.runs.failures.explainers`."""
    if not isinstance(error, (ValueError, TypeError, BufferError)):
        return
    text = str(error).lower()
    if "read-only" in text or "readonly" in text or "read only" in text:
        error.add_note(
            f"Values of tasks that have more than {LIMIT >> 20} MB are read-only on Ray: all tasks "
            "of a machine see the same memory. Work on a copy (x = x.copy()), or make a new value "
            "instead of changing this one."
        )
