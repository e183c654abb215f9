"""``flowdeck result``: what a run returned, as a text, as a value, or as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import complete_run, json_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import home, reading
from flowdeck_app.cli.selection import run_or_task
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from flowdeck.runs.results import ResultStore
    from flowdeck_store.read.records import ResultRecord


@click.command("result")
@click.argument("ref", metavar="RUN|TASK_RUN", shell_complete=complete_run)
@click.option("--load", is_flag=True, help="Load the kept value and print all of it.")
@click.option(
    "--save", "target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Write the kept value's bytes, as its serializer made them, to FILE.",
)  # fmt: skip
@json_option
def command(ref: str, load: bool, target: Path | None, as_json: bool) -> None:
    """Show what a flow run or task run returned.

    What is shown is what the record knows of it: the first rows of a table or array, the upper levels
    of a dict or list, or a short text. --load reads the kept value itself: a
    pickle runs code of the classes in it, so it is for records of your own. --save needs none of
    that code: the file holds the pickle (`pickle.load`), or the JSON.

    \b
    Example:
      flowdeck result @last/fetch-3
      flowdeck result @last/train-0 --save model.pickle
    """
    with reading() as reader:
        run, no = run_or_task(reader, ref)
        found = reader.result(run.id, no or 0)
        outline = reader.outline(run.id, no or 0)
    if found is None:
        raise Trouble(f"{one_line(ref)} has no result.", "It returned None, or did not complete.")
    if target is not None:
        _save(found, target)
        return
    value = _load(found) if load else None
    if as_json:
        from flowdeck_store.read import json_shape

        shape: dict[str, Any] = {**json_shape.result_of(found), "outline": outline}
        echo_json([shape | {"value": _as_json(value)} if load else shape])
        return
    if load:
        from pprint import pformat

        echo([one_line(line) for line in pformat(value).splitlines()])
    else:
        _show(found, outline)


def _show(found: ResultRecord, outline: Any) -> None:
    """Write what the record knows of the value."""
    from flowdeck_app.reports.contents import as_text
    from flowdeck_app.views.outlines import outline_lines
    from flowdeck_store.outlines import outline_of

    known = outline_of(outline)
    if known is None:
        echo([one_line(line) for line in (found.preview or "").splitlines()])
        return
    look = stream_look()
    echo([as_text(line, look) for line in outline_lines(known, look)])


def _store() -> ResultStore:
    from flowdeck.runs.results import ResultStore
    from flowdeck_store.file.paths import StorePaths

    return ResultStore(StorePaths(home()).results)


def _kept(found: ResultRecord) -> str:
    if found.location is None:
        raise Trouble(
            "the value was not kept, only this text of it: " + one_line(found.preview or ""),
            "persist_result=True on the task or flow keeps values, persist_results = true all.",
        )
    return found.location


def _load(found: ResultRecord) -> Any:
    from flowdeck.exceptions import MissingResult
    from flowdeck.reuse.earlier_run import value_of
    from flowdeck.states import LazyValue

    try:
        value = value_of(found, _store())
        return value.load() if isinstance(value, LazyValue) else value
    except MissingResult as error:
        raise Trouble(str(error)) from None


def _as_json(value: Any) -> Any:
    """Return the value if JSON can hold it, else its ``repr``."""
    import json

    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
    return value


def _save(found: ResultRecord, target: Path) -> None:
    from flowdeck.exceptions import MissingResult

    try:
        name, data = _store().content(_kept(found))
        target.write_bytes(data)
    except MissingResult as error:
        raise Trouble(str(error)) from None
    except OSError as error:
        raise Trouble(f"{target} cannot be written: {error.strerror or error}.") from None
    say(f"{len(data):,} bytes ({name}) written to {target}")
