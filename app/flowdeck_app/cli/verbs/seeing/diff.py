"""``flowdeck diff``: two runs of a flow beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import complete_run, json_option
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.explain.differences import RunDifference
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord


@click.command("diff")
@click.argument("ref", metavar="[RUN]", default="@last", shell_complete=complete_run)
@click.argument("other", metavar="[RUN]", required=False, shell_complete=complete_run)
@json_option
def command(ref: str, other: str | None, as_json: bool) -> None:
    """Show what differs between two flow runs: parameters, code, packages, states, durations,
    results. Without a second run: between the run (or else the newest one) and the last good one of
    its flow before it.

    \b
    Example:
      flowdeck diff @last
      flowdeck diff 17 21
    """
    from flowdeck_store.explain.differences import differences

    with reading() as reader:
        now = reader.resolve_run(ref)
        before = _before(reader, now) if other is None else reader.resolve_run(other)
        if before.id > now.id:
            before, now = now, before
        found = differences(reader, before, now)
    if as_json:
        from flowdeck_store.explain import json_shape

        echo_json([json_shape.run_difference(found)])
    else:
        echo(_page(found))


def _before(reader: Reader, run: FlowRunRecord) -> FlowRunRecord:
    found = reader.last_good_id(run)
    before = None if found is None else reader.run(found)
    if before is None:
        raise Trouble(
            f"there is no run of {run.flow!r} before {run.name!r} that was good.",
            "`flowdeck diff RUN RUN` compares any two.",
        )
    return before


def _page(found: RunDifference) -> Iterator[str]:
    from flowdeck_app.reports.differences import sections
    from flowdeck_store.safe import one_line

    look = stream_look()
    first = True
    for title, lines in sections(found, look):
        if lines:
            if not first:
                yield ""
            first = False
            yield look.paint(one_line(title, 200), "bold")
            yield from (f"  {line}" for line in lines)
