"""Kept results: one file a value, in a folder that only the user can read.

A file starts with one line, ``flowdeck-result 1 <serializer> <checksum> [<inputs>]``, so a value is
read back whatever the settings are by then, and a damaged file is not taken for a value. ``inputs``
marks what the value was computed from (:func:`flowdeck.rerun.mark`); it is here and not in the
record because the file is as private as the value.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import MissingResult
from flowdeck.serializers import Serializer, serializer
from flowdeck.states import LazyValue

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KeptValue", "ResultStore", "Serializer", "serializer"]

_MAGIC: Final = b"flowdeck-result 1 "
#: What a location looks like: 256 folders, so that none gets too many files.
_LOCATION: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")
_HEADER: Final = re.compile(
    rb"flowdeck-result 1 ([a-z/]{1,40}) ([0-9a-f]{8})(?: ([0-9a-f]{32}))?\n"
)
_HEADER_BYTES: Final = 120


class ResultStore:
    """The kept results below one folder; safe to use from several threads and processes.

    Args:
        folder: created (with mode 0700) when the first value is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(
        self, value: Any, serializer: str = "pickle", inputs: str | None = None
    ) -> tuple[str, int]:
        """Keep a value.

        Args:
            value: anything the serializer takes.
            serializer: one of :data:`flowdeck.serializers.NAMES`.
            inputs: 32 hex digits that stand for what the value was computed from.

        Returns:
            The location to read it back from, and its size in bytes.

        Raises:
            UnserialisableResult: the value cannot be turned into bytes.
            ConfigurationError: there is no such serializer.
            OSError: the file cannot be written.
        """
        data = _serializer(serializer).dumps(value)
        return self.write_data(data, serializer, inputs), len(data)

    def write_data(
        self, data: bytes | memoryview, serializer: str, inputs: str | None = None
    ) -> str:
        """Keep a value that is bytes already; return its location.

        Raises:
            OSError: the file cannot be written.
        """
        name = os.urandom(16).hex()
        location = f"{name[:2]}/{name[2:]}"
        mark = f" {inputs}" if inputs else ""
        header = _MAGIC + f"{serializer} {zlib.crc32(data):08x}{mark}\n".encode()
        self._write(self.folder / location, header, data)
        return location

    def _write(self, path: Path, header: bytes, data: bytes | memoryview) -> None:
        # Under another name first: a reader sees all of the file or none.
        unfinished = path.with_suffix(".tmp")
        try:
            descriptor = _create(unfinished)
        except FileNotFoundError:
            self._make_folder(path.parent)
            descriptor = _create(unfinished)
        try:
            with open(descriptor, "wb") as file:
                file.write(header)
                file.write(data)
            unfinished.rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise

    def _make_folder(self, shard: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shard.mkdir(mode=0o700, exist_ok=True)

    def read(self, location: str) -> Any:
        """Return a kept value.

        Raises:
            MissingResult: it is gone, damaged, was made of classes that cannot be imported any
                more, or the location is none of this store.
        """
        try:
            content = self._path(location).read_bytes()
        except OSError as error:
            raise MissingResult(
                f"The kept result {location} is gone: {error.strerror or error}. It was pruned or "
                "deleted; run the task again to have it."
            ) from error
        header = _HEADER.match(content)
        if header is None or zlib.crc32(content[header.end() :]) != int(header[2], 16):
            raise MissingResult(
                f"The kept result {location} is damaged (not written to its end, or changed). "
                "Run the task again to have it."
            )
        try:
            return _serializer(header[1].decode()).loads(content[header.end() :])
        except Exception as error:
            raise MissingResult(
                f"The kept result {location} cannot be read: {type(error).__name__}: {error}. The "
                "code it was made with may have changed; run the task again to have it."
            ) from error

    def look(self, location: str, size: int | None) -> str | None:
        """Make sure that a kept value is there, without reading all of it.

        Args:
            location: where it is.
            size: the bytes it should have, if that is known.

        Returns:
            What it was computed from, as :meth:`write` was told.

        Raises:
            MissingResult: it is gone, or cut off, or the location is none of this store.
        """
        try:
            with self._path(location).open("rb") as file:
                header = _HEADER.match(file.read(_HEADER_BYTES))
                length = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise MissingResult(
                f"The kept result {location} is gone: {error.strerror or error}."
            ) from error
        if header is None or (size is not None and length != header.end() + size):
            raise MissingResult(f"The kept result {location} is damaged.")
        return None if header[3] is None else header[3].decode()

    def discard(self, location: str) -> bool:
        """Delete a kept value; ``False`` if it was gone already.

        Raises:
            MissingResult: the location is none of this store.
            OSError: it cannot be deleted.
        """
        try:
            self._path(location).unlink()
        except FileNotFoundError:
            return False
        return True

    def _path(self, location: str) -> Path:
        path = self.folder / location
        # The location comes from the record, which may have been imported from a stranger.
        if not _LOCATION.fullmatch(location) or _leaves(path, self.folder):
            raise MissingResult(f"{location!r} is no location of a kept result.")
        return path


_serializer = serializer  # a parameter of the methods has the same name


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _leaves(path: Path, folder: Path) -> bool:
    """Say whether a link leads out of the folder."""
    real, root = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([real, root]) != root


class KeptValue(LazyValue):
    """Stands for a value that is on disk and not in memory."""

    __slots__ = ("location", "store")

    def __init__(self, store: ResultStore, location: str) -> None:
        self.store = store
        self.location = location

    def load(self) -> Any:
        """Return the value, see :meth:`ResultStore.read`."""
        return self.store.read(self.location)
