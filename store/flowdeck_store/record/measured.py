"""Rows of how far runs say they are and of what was measured, see :mod:`flowdeck_store.record.batch`.

A worker may send any number that its kernel says; what SQLite cannot hold is refused here, before it
costs a batch.
"""

from __future__ import annotations

from typing import Any, Final

from flowdeck_store import events as ev
from flowdeck_store.text import clip

_MESSAGE_BYTES: Final = 1_000
_WORKER_BYTES: Final = 300
_MOST: Final = 2**62


class MeasuredRows:
    """Progress, what task runs used, samples of processes, and which of these are thinned out."""

    __slots__ = ("_progress", "_samples", "_usage", "_widths")

    def __init__(self) -> None:
        self._progress: dict[tuple[int | str, int], list[Any]] = {}
        self._usage: list[list[Any]] = []
        self._samples: list[list[Any]] = []
        self._widths: dict[tuple[int | str, str], list[Any]] = {}

    def add(self, kind: int, run: int | str, no: int, fields: tuple[Any, ...]) -> None:
        """Add the row of an event.

        Args:
            kind: PROGRESS, USAGE or SAMPLE.
            run: what names the flow run in a row.
            no: the number of the task run.
            fields: the others of the event.

        Raises:
            ValueError, TypeError: a field is impossible.
        """
        if kind == ev.PROGRESS:
            us, done, total, message = fields
            message = clip(message, _MESSAGE_BYTES) if message is not None else None
            self._progress[run, no] = [run, no, us, done, total, message]
        elif kind == ev.USAGE:
            cpu_us, peak, growth, read, written = map(_whole, fields)
            self._usage.append([run, no, cpu_us, peak, growth, read, written])
        else:
            self._sampled(run, *fields)

    def _sampled(
        self, run: int | str, us: int, worker: str, cpu: float, memory: int, read: int | None,
        written: int | None, threads: int | None, gpu: float | None, gpu_memory: int | None,
        width: int | None, stored: int | None = None, stored_count: int | None = None,
    ) -> None:  # fmt: skip
        # The last two came later: journals may hold events without them.
        worker = clip(worker, _WORKER_BYTES)
        counts = map(_whole, (memory, read, written, threads))
        gpu = None if gpu is None else float(gpu)
        kept = map(_whole, (gpu_memory, stored, stored_count))
        self._samples.append([run, worker, us, float(cpu), *counts, gpu, *kept])
        if width is not None:
            self._widths[run, worker] = [run, worker, max(1, width)]

    def sections(self) -> dict[str, list[Any]]:
        """Return the rows by column of the ingest view."""
        return {
            "progress": list(self._progress.values()),
            "usage": self._usage,
            "samples": self._samples,
            "widths": list(self._widths.values()),
        }


def _whole(number: int | None) -> int | None:
    if number is None:
        return None
    if not -_MOST < number < _MOST:
        raise ValueError(f"{number} is out of range")
    return int(number)
