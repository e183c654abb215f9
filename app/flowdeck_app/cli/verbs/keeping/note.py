"""``flowdeck note``: write down what is known of a run, in the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import json_option, run_argument
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import home, reading

if TYPE_CHECKING:
    from flowdeck_store.read.records import FlowRunRecord


@click.command("note")
@run_argument("ref")
@click.argument("words", metavar="[TEXT]...", nargs=-1)
@click.option("--list", "show", is_flag=True, help="Show the notes (as without a TEXT).")
@click.option(
    "--delete", "number", type=click.IntRange(min=1), metavar="N", help="Delete the note N."
)
@json_option
def command(
    ref: str, words: tuple[str, ...], show: bool, number: int | None, as_json: bool
) -> None:
    """Write a note on a flow run, or show its notes. The run may still go on.

    Notes are shown with their run, exported with it, and found by `note:TEXT` in a query.

    \b
    Examples:
      flowdeck note @last-failed "the bucket was full; ann made room"
      flowdeck note @last-failed --delete 1
    """
    from flowdeck_app.control.cancel import who
    from flowdeck_store.record import annotations

    text = " ".join(words)
    if sum((bool(words), show, number is not None)) > 1:
        raise click.UsageError("give a TEXT, or --list, or --delete N: one of them.")
    with reading() as reader:
        run = reader.resolve_run(ref)
        if number is not None:
            _delete(run, number)
        elif words:
            try:
                added = annotations.add_note(home(), run.id, text, who())
            except ValueError as error:
                raise Trouble(f"{error}.") from None
            say(f"flowdeck: note {added} on {run.name} (#{run.id}).")
        now = reader.run(run.id)
    if now is None or (not as_json and (words or number is not None)):
        return
    _show(now, as_json=as_json)


def _delete(run: FlowRunRecord, number: int) -> None:
    from flowdeck_store.record import annotations

    seq = run.notes[number - 1].seq if number <= len(run.notes) else None
    if seq is None or not annotations.delete_note(home(), run.id, seq):
        raise Trouble(
            f"{run.name} (#{run.id}) has no note {number}.",
            f"`flowdeck note {run.id}` lists those it has.",
        )
    say(f"flowdeck: deleted note {number} of {run.name} (#{run.id}).")


def _show(run: FlowRunRecord, *, as_json: bool) -> None:
    if as_json:
        from flowdeck_store.read import json_shape

        echo_json({"n": index, **json_shape.note(note)} for index, note in enumerate(run.notes, 1))
        return
    from flowdeck_app.reports.runs import notes

    echo(notes(run, stream_look()))
    if not run.notes:
        say(f"flowdeck: there is no note on {run.name} (#{run.id}).")
