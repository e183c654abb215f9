"""The connection that all objects of one :class:`~flowdeck.record.client.Record` share."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from flowdeck.runs.results import ResultStore


class Access:
    """One reader, lent to one thread at a time: ``with access as reader: ...``.

    Args:
        home: the folder of the record; it need not exist yet.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._lock = threading.RLock()
        self._reader: Reader | None = None
        self._results: ResultStore | None = None

    def __enter__(self) -> Reader:
        self._lock.acquire()
        try:
            if self._reader is None:
                self._reader = Reader.open(self.home)
                # `Record().runs()` is never closed by whoever writes it: it goes with the last row.
                weakref.finalize(self, self._reader.close)
            return self._reader
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    @property
    def results(self) -> ResultStore:
        """Where kept values are."""
        if self._results is None:
            from flowdeck.runs.results import ResultStore
            from flowdeck_store.file.paths import StorePaths

            self._results = ResultStore(StorePaths(self.home).results)
        return self._results

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
