"""The record as a whole: finding runs and task runs in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from flowdeck.record.access import Access
from flowdeck.record.objects import RecordedRun, RecordedTask
from flowdeck.record.rows import Rows, least_limit, query_text

if TYPE_CHECKING:
    from types import TracebackType


class Record:
    """Reads a record. Usable from several threads, and while flows write into it.

    Args:
        home: its folder; ``None``: the one that flows of this process write into (the setting
            ``home``). A folder that does not exist reads as an empty record.

    Calls may raise the subclasses of ``flowdeck_store.errors.StoreError``: ``NotFound`` and
    ``Ambiguous`` for references, ``QueryError`` for filters, ``StoreCorrupt``, ``StoreTooNew`` and
    ``StoreBusy`` for the file.
    """

    def __init__(self, home: str | Path | None = None) -> None:
        if home is None:
            from flowdeck.settings import get_settings

            home = get_settings().home
        self._access = Access(Path(home))

    @property
    def home(self) -> Path:
        """The folder."""
        return self._access.home

    def runs(
        self, query: str = "", *, limit: int = 50, order: str = "newest", subflows: bool = False
    ) -> Rows[RecordedRun]:
        """Return flow runs.

        Args:
            query: a filter, as ``flowdeck runs`` takes it: ``state:failed flow:etl* since:7d``.
            limit: the most to return; 0: all.
            order: ``newest``, ``oldest``, ``problems``, ``duration``, ``start``, ``name`` or
                ``flow``; ``-`` in front reverses it.
            subflows: subflow runs too.

        Raises:
            QueryError: the filter is wrong.
            TypeError: the filter is no text.
            ValueError: the order is unknown, or the limit below 0.
        """
        query, limit = query_text(query), least_limit(limit)
        with self._access as reader:
            found = reader.runs(query or None, limit=limit, order=order, roots=not subflows)
        return Rows(RecordedRun(self._access, run) for run in found)

    def run(self, ref: str | int = "@last") -> RecordedRun:
        """Return one flow run.

        Args:
            ref: its number, name, uid, a unique prefix of these, ``@last`` or ``@last-failed``.

        Raises:
            NotFound: there is none.
            Ambiguous: there are several.
        """
        with self._access as reader:
            return RecordedRun(self._access, reader.resolve_run(str(ref)))

    def task(self, ref: str | int) -> RecordedTask:
        """Return one task run.

        Args:
            ref: ``1234.17``, or ``RUN/NAME`` such as ``@last/fetch-3``.

        Raises:
            NotFound: there is none.
            Ambiguous: there are several.
        """
        with self._access as reader:
            return RecordedTask(self._access, reader.resolve_task(str(ref)))

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        self._access.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Record({str(self.home)!r})"
