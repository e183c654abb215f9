"""Typed reads of the record: everything a command or a screen shows comes through here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from flowdeck_store.ordering import RowIndex, Window
from flowdeck_store.reader_details import DetailReads
from flowdeck_store.reader_groups import GroupReads
from flowdeck_store.reader_logs import LogReads
from flowdeck_store.reader_refs import ReferenceReads
from flowdeck_store.reader_reuse import ReuseReads
from flowdeck_store.statistics import StatisticsReads

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Reader", "RowIndex", "Window"]


class Reader(ReferenceReads, StatisticsReads, LogReads, DetailReads, GroupReads, ReuseReads):
    """Reads one store. Nothing it does can change the store or block its writers.

    A store that is not there yet reads as empty and is picked up once it appears; one that was
    replaced or deleted is noticed at the next call. The calls of one reader must not overlap, so
    have one a thread; only :meth:`interrupt` may be called while another call runs.

    Every call may raise the subclasses of :class:`~flowdeck_store.errors.StoreError`:
    ``StoreCorrupt``, ``StoreTooNew``, ``StoreBusy`` and ``ReadInterrupted``.
    """

    @classmethod
    def open(cls, home: Path) -> Self:
        """Open the store below ``home`` (which need not exist).

        Raises:
            StoreCorrupt: the file is no store, or damaged.
            StoreTooNew: a newer flowdeck wrote it.
        """
        reader = cls(home)
        try:
            reader._current()
        except BaseException:
            reader.close()
            raise
        return reader
