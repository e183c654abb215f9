"""Typed reads of the record: everything a command or a screen shows comes through here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from flowdeck_store.file.connection import WAIT_S
from flowdeck_store.query.ordering import RowIndex, Window
from flowdeck_store.read.artifacts.questions import QuestionReads
from flowdeck_store.read.artifacts.reads import ArtifactReads
from flowdeck_store.read.causes_of_runs import CauseReads
from flowdeck_store.read.details import DetailReads
from flowdeck_store.read.errors.reads import ErrorReads
from flowdeck_store.read.paths import PathReads
from flowdeck_store.read.provenance import ProvenanceReads
from flowdeck_store.read.refs import ReferenceReads
from flowdeck_store.read.reuse import ReuseReads
from flowdeck_store.read.statistics import StatisticsReads
from flowdeck_store.read.tree.graphs import TreeReads
from flowdeck_store.read.tree.levels import LevelReads

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Reader", "RowIndex", "Window"]


class Reader(
    ErrorReads,
    ReferenceReads,
    CauseReads,
    StatisticsReads,
    LevelReads,
    DetailReads,
    TreeReads,
    ReuseReads,
    PathReads,
    ProvenanceReads,
    ArtifactReads,
    QuestionReads,
):
    """Reads one store. Nothing it does can change the store or block its writers.

    A store that is not there yet reads as empty and is picked up once it appears; one that was
    replaced or deleted is noticed at the next call. The calls of one reader must not overlap, so
    have one a thread; only :meth:`interrupt` may be called while another call runs.

    Every call may raise the subclasses of :class:`~flowdeck_store.errors.StoreError`:
    ``StoreCorrupt``, ``StoreTooNew``, ``StoreBusy`` and ``ReadInterrupted``.
    """

    @classmethod
    def open(cls, home: Path, *, wait: float = WAIT_S) -> Self:
        """Open the store below ``home`` (which need not exist).

        Args:
            home: the folder.
            wait: how long opening it waits for a program that has locked it, in seconds.

        Raises:
            StoreBusy: locked for longer than that.
            StoreCorrupt: the file is no store, or damaged.
            StoreTooNew: a newer flowdeck wrote it.
        """
        reader = cls(home, wait)
        try:
            reader._current()
        except BaseException:
            reader.close()
            raise
        return reader
