"""Which runs a verb is about: named ones, or all that a query finds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowdeck_app.cli.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

_FILTER: Final = re.compile(r"-?([a-z_]+):")


def is_query(words: Sequence[str]) -> bool:
    """Say whether words are a query: one of them is a filter such as ``state:failed``."""
    from flowdeck_store.query.language import FIELDS

    return any((found := _FILTER.match(word)) and found[1] in FIELDS for word in words)


def found_runs(reader: Reader, words: Sequence[str], *, roots: bool) -> list[FlowRunRecord]:
    """Return the runs that a query finds, newest first.

    Args:
        reader: of the record.
        words: the query.
        roots: leave subflow runs out (unless the query says ``parent:``).

    Raises:
        Trouble: there are none.
        QueryError: the query is wrong.
    """
    runs = reader.runs(" ".join(words), limit=0, roots=roots)
    if not runs:
        raise Trouble("no run matches.", f"`flowdeck runs {' '.join(words)}` shows what does.")
    return runs


def named_or_found(reader: Reader, words: Sequence[str]) -> list[FlowRunRecord]:
    """Return the runs that are named, each once, or all root runs that a query finds.

    Raises:
        Trouble: a query finds none.
        NotFound, Ambiguous, QueryError: a name or the query is wrong.
    """
    if is_query(words):
        return found_runs(reader, words, roots=True)
    return list({run.id: run for run in map(reader.resolve_run, words)}.values())


def run_or_task(reader: Reader, ref: str) -> tuple[FlowRunRecord, int | None]:
    """Return the run, and the task run's number if the reference names a task run."""
    from flowdeck_store.errors import NotFound

    whole, dot, part = ref.rpartition(".")
    if "/" in ref or (dot and part.isdigit() and whole):
        task = reader.resolve_task(ref)
        run = reader.run(task.run_id)
        if run is None:
            raise NotFound(f"The flow run of {ref} was deleted.")
        return run, task.no
    return reader.resolve_run(ref), None
