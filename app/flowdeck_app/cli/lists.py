"""Lists of runs and task runs, as lines for people and as ``--json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from flowdeck_app.cli.output import echo, echo_json, stream_look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

R = TypeVar("R")

PAGE: Final = 200


def paged(
    read: Callable[[int, int | None], Sequence[R]], place: Callable[[R], int], limit: int
) -> Iterator[R]:
    """Read in pages, so that a million runs are no list of a million.

    Args:
        read: returns so many records behind a place (``None``: the first ones).
        place: of a record.
        limit: of all records; 0: none.
    """
    after: int | None = None
    left = limit or None
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = read(size, after)
        yield from page
        if len(page) < size:
            return
        after = place(page[-1])
        left = None if left is None else left - size


def listed(runs: Sequence[FlowRunRecord], most: int = 5) -> str:
    """Return names and numbers of runs, some at most."""
    names = ", ".join(f"{run.name} (#{run.id})" for run in runs[:most])
    return f"{names} and {len(runs) - most:,} more" if len(runs) > most else names


def show_runs(reader: Reader, runs: Iterable[FlowRunRecord], *, as_json: bool) -> None:
    """Write runs as `flowdeck runs` does."""
    if as_json:
        from flowdeck_store.explain.json_objects import run_object

        echo_json(run_object(reader, run) for run in runs)
    elif shown := list(runs):
        from flowdeck_app.reports.runs import run_table

        echo(run_table(shown, reader.causes(shown), stream_look()))
