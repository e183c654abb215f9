"""``flowdeck why``: why a run, or a task run, went as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.options import complete_run, json_option
from flowdeck_app.cli.output import echo, echo_json
from flowdeck_app.cli.record import reading
from flowdeck_app.cli.selection import run_or_task
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord


@click.command("why")
@click.argument("ref", metavar="RUN|TASK_RUN", shell_complete=complete_run)
@json_option
def command(ref: str, as_json: bool) -> None:
    """Say why a flow run or a task run went as it did.

    Of a run: what failed first, what followed from it, what changed since the last good run of the
    flow, what became slower, and which task runs decided how long it took; of one that stands
    still, who waits for whom and for what. Of a task run: why it ran, waited or still waits, was
    skipped, was taken over or missed the cache.

    \b
    Example:
      flowdeck why @last
      flowdeck why @last/fetch-3
    """
    with reading() as reader:
        run, no = run_or_task(reader, ref)
        if as_json:
            echo_json([_object(reader, run, no)])
        else:
            echo(_sentences(reader, run, no))


def _sentences(reader: Reader, run: FlowRunRecord, no: int | None) -> Iterator[str]:
    from flowdeck_app.reports.why import run_sentences, task_sentences
    from flowdeck_store.explain.flow_run import why_run
    from flowdeck_store.explain.task_run import why_task
    from flowdeck_store.upkeep.slot_holders import slot_holders_of

    if not no:
        yield from run_sentences(why_run(reader, run, now_us()), now_us())
        return
    (task,) = reader.tasks_by_nos(run.id, [no])
    yield from task_sentences(
        why_task(reader, task, now_us()), now_us(), slot_holders_of(reader, task)
    )


def _object(reader: Reader, run: FlowRunRecord, no: int | None) -> dict[str, object]:
    from flowdeck_app.reports.why import run_sentences, task_sentences
    from flowdeck_store.explain import json_shape
    from flowdeck_store.explain.flow_run import why_run
    from flowdeck_store.explain.task_run import why_task
    from flowdeck_store.upkeep.slot_holders import slot_holders_of

    if not no:
        found = why_run(reader, run, now_us())
        return {**json_shape.run_why(found), "sentences": run_sentences(found, now_us())}
    (task,) = reader.tasks_by_nos(run.id, [no])
    of_task = why_task(reader, task, now_us())
    said = task_sentences(of_task, now_us(), slot_holders_of(reader, task))
    return {**json_shape.task_why(of_task), "sentences": said}
