"""``flowdeck workers``: what each worker of a flow run uses, runs and has ended."""

from __future__ import annotations

import click

from flowdeck_app.cli.options import json_option, run_argument
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import look_after_dead, reading
from flowdeck_store.events import now_us


@click.command("workers")
@run_argument("ref")
@json_option
def command(ref: str, as_json: bool) -> None:
    """List the workers of a flow run: processor, memory, stored values, task runs.

    While the run goes on it says what they use now, afterwards the mean of the processor time and
    the most of the others. The address of the cluster's own dashboard stands below.

    \b
    Example:
      flowdeck workers @last
    """
    from flowdeck_app.reports.workers import worker_table
    from flowdeck_app.views.workers import read_dashboard, read_workers

    with reading() as reader:
        look_after_dead()
        run = reader.resolve_run(ref)
        workers = read_workers(reader, run.id, now_us())
        dashboard = read_dashboard(reader, run.id)
    if as_json:
        echo_json(one.as_json(dashboard) for one in workers)
    elif workers:
        echo(worker_table(workers, dashboard, stream_look()))
    else:
        say("flowdeck: nothing has run in this flow run yet.")
