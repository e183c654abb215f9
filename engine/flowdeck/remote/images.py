"""Copies of big values that cost no more than what is written on them.

The bytes are held once in a process, in a file in memory. Each task run gets a private mapping of it:
the kernel copies a page when it is written on, and tells afterwards which ones that were, so that a
mapping that nobody has any more is as new again for the next task run. Where the system cannot do that
(it is Linux that can), :meth:`Images.view` returns ``None`` and the caller copies.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import threading
import time
import weakref
from typing import Any, Final

#: Bytes from which on this is faster than a copy into memory that is used again.
LEAST: Final = 1024 * 1024
#: Bytes of all images of a process; one alone may have more.
LIMIT: Final = 256 * 1024 * 1024
#: Seconds after which an image that nobody asks for is gone; the values made of it stay.
LINGER: Final = 2.0
#: Seconds after which it makes room for another one.
_SPARED: Final = 1.0
#: Mappings of a process that somebody has: each costs a descriptor.
_MAPPINGS: Final = 64
#: Names of bytes that were asked for once.
_REMEMBERED: Final = 256
#: If more than this share of its pages was written on, copies of an image are cheaper.
_MUCH: Final = 0.1

_POPULATE_READ: Final = 22  # Linux 5.14; Python has no name for it
_ENTRY: Final = 8
#: The highest bytes of the kernel's entries for pages that are still the file's, or not there: bit 63
#: is "in memory", 62 "swapped out", 61 "of a file".
_CLEAN: Final = bytes(byte for byte in range(256) if byte & 0x20 or not byte & 0xC0)


def is_unused(things: list[Any], place: int) -> bool:
    """Say whether nobody but a list has what is in a place of it, nor a view of it."""
    return _references(things, place) <= _UNUSED


def _references(things: list[Any], place: int) -> int:
    return sys.getrefcount(things[place])


#: Found out, not known: versions of Python differ.
_UNUSED: Final = _references([bytearray()], 0)


class Image:
    """Bytes of which there are mappings.

    Args:
        data: is copied.

    Raises:
        OSError: the system has no such files, or no room.
    """

    def __init__(self, data: memoryview) -> None:
        self.size = data.nbytes
        self.used = time.monotonic()
        #: Tasks write on most of it.
        self.is_written = False
        self._mappings: list[mmap.mmap] = []
        self._file = os.memfd_create("flowdeck-image")  # type: ignore[attr-defined,unused-ignore]
        # Its descriptor goes with the image, whoever forgets it; mappings have their own.
        weakref.finalize(self, os.close, self._file)
        left = data.cast("B") if data.ndim != 1 or data.format != "B" else data
        while left:
            left = left[os.write(self._file, left) :]

    def mapping(self) -> mmap.mmap | None:
        """Return one that nobody else has; ``None`` if there are none to be had.

        Raises:
            OSError: the system cannot do it.
        """
        for place in range(len(self._mappings)):
            if is_unused(self._mappings, place):
                return self._cleaned(self._mappings[place])
        if len(_in_use) >= _MAPPINGS:
            return None
        made = mmap.mmap(self._file, self.size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        _in_use.add(made)
        self._mappings.append(made)
        _populate(made, 0, self.size)
        return made

    def _cleaned(self, mapping: mmap.mmap) -> mmap.mmap:
        """Return a mapping that was used as it was before."""
        pages = _pages(mapping)
        written = len(pages.translate(None, _CLEAN))
        if written:
            self.is_written = written > _MUCH * len(pages)
            first = len(pages) - len(pages.lstrip(_CLEAN))
            start = first * mmap.PAGESIZE
            length = len(pages.rstrip(_CLEAN)) * mmap.PAGESIZE - start
            mapping.madvise(mmap.MADV_DONTNEED, start, length)
            if not self.is_written:
                _populate(mapping, start, length)
        return mapping


#: Mappings that are there.
_in_use: Final[weakref.WeakSet[mmap.mmap]] = weakref.WeakSet()


def _populate(mapping: mmap.mmap, start: int, length: int) -> None:
    """Have the pages ready, which is cheaper than one after the other."""
    with contextlib.suppress(OSError, ValueError):
        mapping.madvise(_POPULATE_READ, start, length)


def _pages(mapping: mmap.mmap) -> bytes:
    """Return the highest byte of the kernel's entry for each page.

    Raises:
        OSError: there are no such entries to be read.
    """
    import ctypes

    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    count = -(-len(mapping) // mmap.PAGESIZE)
    # Opened each time: after a fork it would still be about the parent's memory.
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        file.seek(address // mmap.PAGESIZE * _ENTRY)
        entries = file.read(count * _ENTRY)
    if len(entries) != count * _ENTRY:
        raise OSError("pages are missing")
    return entries[7::_ENTRY] if sys.byteorder == "little" else entries[::_ENTRY]


def _works() -> bool:
    """Say whether the system can do it, and tells the truth about what was written."""
    try:
        image = Image(memoryview(bytes(4 * mmap.PAGESIZE)))
        mapping = image.mapping()
        if mapping is None:
            return False
        _ = mapping[:]
        mapping[2 * mmap.PAGESIZE] = 1
        dirty = [byte not in _CLEAN for byte in _pages(mapping)]
        image._cleaned(mapping)
        return dirty == [False, False, True, False] and not any(mapping[:])
    except (OSError, AttributeError, ValueError, ImportError):
        return False


class Images:
    """The images of a process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._works: bool | None = None
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._images: dict[Any, Image] = {}
        #: What was asked for, as most is once only; and whether tasks write on most of it.
        self._asked: dict[Any, bool] = {}
        self._is_watched = False

    def view(self, name: Any, data: memoryview) -> memoryview | None:
        """Return bytes that nobody else sees; ``None`` if a copy is the better way.

        Args:
            name: of the bytes; what has the same one has the same content.
            data: the bytes.
        """
        if data.nbytes < LEAST or self._works is False:
            return None
        with self._lock:
            image = self._images.get(name) or self._made(name, data)
            if image is None:
                return None
            image.used = time.monotonic()
            mapping = None
            with contextlib.suppress(OSError, ValueError):
                mapping = image.mapping()
            if mapping is None or image.is_written:
                del self._images[name]
                self._asked[name] = True
            return None if mapping is None else memoryview(mapping)

    def _made(self, name: Any, data: memoryview) -> Image | None:
        """Return an image, if the bytes were asked for before and there is room."""
        is_written = self._asked.get(name)
        if is_written:
            return None
        if is_written is None:
            self._asked[name] = False
            if len(self._asked) > _REMEMBERED:
                del self._asked[next(iter(self._asked))]
            return None
        if self._works is None:
            self._works = _works()
        if not self._works or not self._has_room(data.nbytes):
            return None
        try:
            image = self._images[name] = Image(data)
        except OSError:  # no room
            return None
        if not self._is_watched:
            self._is_watched = True
            threading.Thread(target=self._watch, name="flowdeck-images", daemon=True).start()
        return image

    def _has_room(self, size: int) -> bool:
        if sum(image.size for image in self._images.values()) + size > LIMIT:
            self._drop(_SPARED)
        return not self._images or sum(i.size for i in self._images.values()) + size <= LIMIT

    def _drop(self, seconds: float) -> None:
        """Let go of what was not asked for since so many seconds."""
        due = time.monotonic() - seconds
        for name in [name for name, image in self._images.items() if image.used <= due]:
            del self._images[name]

    def _watch(self) -> None:
        lock = self._lock
        while True:
            time.sleep(LINGER / 5)
            with lock:
                self._drop(LINGER)
                if not self._images:
                    self._is_watched = False
                    return

    def clear(self) -> None:
        """Let go of all; the values made of them stay."""
        with self._lock:
            self._images.clear()
            self._asked.clear()


images: Final = Images()
if hasattr(os, "register_at_fork"):
    # A child has neither the thread nor a lock that is sure to be open.
    os.register_at_fork(after_in_child=images._reset)
