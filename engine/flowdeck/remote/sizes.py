"""How many bytes a value has as a pickle, found out without making all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck.remote.pickling import inside

if TYPE_CHECKING:
    import pickle

    from flowdeck.remote.pickling import Pickling

#: Bytes up to which a pickled value goes to the flow's process without being asked for.
CARRY: Final = 16 * 1024
#: Bytes after which a value is believed to be picklable as a whole. What is written in one piece of
#: more than so many bytes costs nothing and does not count.
_LOOK: Final = 4 * 1024 * 1024
_PIECE: Final = 256 * 1024


class _EnoughError(Exception):
    """So much of a value was pickled that the rest is believed to be picklable."""


class _Sample:
    """A file that keeps the first bytes, and stops the pickler that writes for too long."""

    def __init__(self, look: int = _LOOK) -> None:
        self.kept: list[bytes] = []
        self.size = 0
        self._outside = 0
        self._look = look

    def write(self, data: Any) -> int:
        size = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        self.size += size
        if self.size <= CARRY:
            self.kept.append(bytes(data))
        elif size < _PIECE:
            self._look -= size
            if self._look < 0:
                raise _EnoughError
        return size

    def leave_outside(self, buffer: pickle.PickleBuffer) -> None:
        size = buffer.raw().nbytes
        self.size += size
        self._outside += size

    @property
    def is_whole(self) -> bool:
        return self.size <= CARRY and not self._outside


def carried(value: Any, pickling: Pickling) -> bytes | int | None:
    """Return a value's pickle if it is small enough to ride along, else how many bytes that has;
    ``None`` if it is not known.

    Only the first megabytes of many small parts are looked at.

    Raises:
        Exception: the value cannot be pickled.
    """
    sample = _Sample()
    try:
        with pickling.by_value(), inside():
            pickling.pickler(sample, sample.leave_outside).dump(value)
    except _EnoughError:
        return None
    except Exception:
        data = pickling.dumps(value)  # by reference, or the same error again
        return data if len(data) <= CARRY else len(data)
    if sample.is_whole:
        return b"".join(sample.kept)
    return pickling.dumps(value) if sample.size <= CARRY else sample.size


def weight(value: Any, pickling: Pickling, limit: int) -> int | None:
    """Return how many bytes a value has as a pickle; ``None`` if it cannot be pickled.

    Args:
        value: anything.
        pickling: the flavour.
        limit: bytes; ``None`` is returned for more.
    """
    sample = _Sample(limit)
    try:
        with pickling.by_value(), inside():
            pickling.pickler(sample, sample.leave_outside).dump(value)
    except Exception:
        return None
    return sample.size if sample.size <= limit else None
