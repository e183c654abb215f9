"""Kept results: one file a value, in a folder that only the user can read.

The first line of a file (:mod:`flowdeck_store.file.kept`) names its serializer and has a checksum, so a
value is read back whatever the settings are by then, and a damaged file is not taken for a value. Its
``inputs`` mark what the value was computed from (:func:`flowdeck.reuse.plan.mark`); it is there and not
in the record because the file is as private as the value.

Loading a pickle runs what its maker wanted to be run, so those that an archive brought are never loaded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import MissingResult
from flowdeck.serializers import HARMLESS, Serializer, is_registered, serializer
from flowdeck.states import LazyValue
from flowdeck_store.file import kept

if TYPE_CHECKING:
    from pathlib import Path

#: Name of the state that a completed task run has in the flow's process once it was rolled back.
ROLLED_BACK: Final = "RolledBack"
#: How the preview of a result begins in the record then: the result was taken back.
WITHDRAWN: Final = "rolled back"

__all__ = ["KeptValue", "ResultStore", "Serializer", "serializer"]


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
            serializer: the name of one, see :mod:`flowdeck.serializers`.
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
        location = kept.new_location()
        kept.write(self.folder, location, kept.header_line(serializer, data, inputs), data)
        return location

    def read(self, location: str) -> Any:
        """Return a kept value.

        Raises:
            MissingResult: it is gone, damaged, was made of classes that cannot be imported any
                more, by a serializer that is not registered here, or the location is none of this
                store.
        """
        name, data = self.content(location)
        imported = kept.is_imported(location)
        if imported:
            _refuse_code(location, name)
        if not is_registered(name):
            raise MissingResult(
                f"The kept result {location} was made by the serializer {name!r}, which is not "
                f"registered in this process: import the module that calls flowdeck.serializers."
                f"register_serializer({name!r}, ...) first. `flowdeck result TASK_RUN --save FILE` "
                "writes its bytes."
            )
        try:
            how = _serializer(name)
            return how.loads_foreign(data) if imported else how.loads(data)
        except Exception as error:
            raise MissingResult(
                f"The kept result {location} cannot be read: {type(error).__name__}: {error}. The "
                "code it was made with may have changed; run the task again to have it."
            ) from error

    def content(self, location: str) -> tuple[str, bytes]:
        """Return the bytes of a kept value and the name of the serializer that made them, without
        making the value of them.

        Raises:
            MissingResult: it is gone, damaged, or the location is none of this store.
        """
        try:
            header, data = kept.checked(self._path(location).read_bytes())
        except OSError as error:
            raise MissingResult(
                f"The kept result {location} is gone: {error.strerror or error}. It was pruned or "
                "deleted; run the task again to have it."
            ) from error
        except kept.DamagedValue as error:
            raise MissingResult(
                f"The kept result {location} is damaged: {error}. Run the task again to have it."
            ) from error
        return header.serializer, data

    def find_kept(self, location: str, size: int | None) -> str | None:
        """Make sure that a kept value is there and may be loaded, without reading all of it.

        Args:
            location: where it is.
            size: the bytes it should have, if that is known.

        Returns:
            What it was computed from, as :meth:`write` was told.

        Raises:
            MissingResult: it is gone, or cut off, a pickle that an archive brought, or the location
                is none of this store.
        """
        try:
            with self._path(location).open("rb") as file:
                header = kept.header_of(file.read(kept.HEADER_BYTES))
                length = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise MissingResult(
                f"The kept result {location} is gone: {error.strerror or error}."
            ) from error
        if header is None or (size is not None and length != header.length + size):
            raise MissingResult(f"The kept result {location} is damaged.")
        if kept.is_imported(location):
            _refuse_code(location, header.serializer)
        return header.inputs

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
        path = kept.path_of(self.folder, location)
        if path is None:
            raise MissingResult(f"{location!r} is no location of a kept result.")
        return path


_serializer = serializer  # a parameter of the methods has the same name


def _refuse_code(location: str, name: str) -> None:
    if name not in HARMLESS:
        raise MissingResult(
            f"The kept result {location} came with an imported archive and is a {name}: loading it "
            "would run whatever the maker of the archive put into it, so flowdeck never does. "
            "`flowdeck result TASK_RUN --save FILE` writes its bytes; `flowdeck retry` computes it anew."
        )


class KeptValue(LazyValue):
    """Stands for a value that is on disk and not in memory."""

    __slots__ = ("location", "store")

    def __init__(self, store: ResultStore, location: str) -> None:
        self.store = store
        self.location = location

    def load(self) -> Any:
        """Return the value, see :meth:`ResultStore.read`."""
        return self.store.read(self.location)
