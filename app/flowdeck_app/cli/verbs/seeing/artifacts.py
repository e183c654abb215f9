"""``flowdeck artifacts``: what runs wanted shown, and the history of one key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import complete_run, json_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import reading
from flowdeck_app.cli.selection import run_or_task
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_store.read.artifacts.reads import ShownArtifact
    from flowdeck_store.read.reader import Reader

#: Runs whose artifacts of a key are shown.
HISTORY: Final = 100
_ENDINGS: Final = {"markdown": "md"}


@click.command("artifacts")
@click.argument(
    "ref", metavar="[RUN|TASK_RUN]", required=False, default=None, shell_complete=complete_run
)
@click.option(
    "--key", help="Only those of this key, with their contents; without RUN, of the last runs."
)
@click.option(
    "--save", "target", metavar="FILE|DIR", type=click.Path(path_type=Path),
    help="Write the contents: one to FILE, or all into the folder DIR.",
)  # fmt: skip
@json_option
def command(ref: str | None, key: str | None, target: Path | None, as_json: bool) -> None:
    """List what a run wanted shown: tables, texts, pictures, links, numbers.

    Without RUN it is the last one, or with --key the history of that key over runs.

    \b
    Example:
      flowdeck artifacts @last
      flowdeck artifacts @last --key scores --save scores.json
      flowdeck artifacts --key accuracy
    """
    with reading() as reader:
        if ref is None and key is not None:
            found = reader.artifact_history(key, HISTORY)
            if not found:
                raise _no_such_key(reader, key)
        else:
            run, no = run_or_task(reader, ref or "@last")
            found = reader.shown_artifacts(run.id, no, key=key)
            if not found and key is not None:
                raise _no_such_key(reader, key)
        if target is not None:
            _save(reader, found, target)
        elif as_json:
            from flowdeck_store.read.artifacts.reads import to_json

            echo_json(
                to_json(one, None if one.kind == "image" else reader.artifact_value(one))
                for one in found
            )
        else:
            _show(reader, found, of_a_key=key is not None, over_runs=ref is None)


def _no_such_key(reader: Reader, key: str) -> Trouble:
    keys = ", ".join(reader.artifact_keys(20))
    return Trouble(
        f"there is no artifact with the key {one_line(key)!r}.",
        f"There are: {one_line(keys)}." if keys else "There are no artifacts with keys.",
    )


def _show(
    reader: Reader, found: Sequence[ShownArtifact], *, of_a_key: bool, over_runs: bool
) -> None:
    from flowdeck_app.reports import artifacts

    seen = stream_look()
    if not found:
        say("flowdeck: the run has no artifacts.")
    elif of_a_key and over_runs:
        echo(artifacts.history(found, seen))
    elif of_a_key:
        for one in found:
            said = artifacts.summary(one, seen)
            echo([f"{seen.paint(one_line(one.key or one.kind), 'bold')}  {said}".rstrip(), ""])
            echo([*artifacts.content_lines(one, reader.artifact_value(one), seen), ""])
    else:
        nos = [one.task_no for one in found if one.task_no]
        names = {task.no: task.label for task in reader.tasks_by_nos(found[0].run_id, nos)}
        echo(artifacts.artifact_table(found, names, seen))


def _save(reader: Reader, found: Sequence[ShownArtifact], target: Path) -> None:
    if not found:
        raise Trouble("there is nothing to save.")
    into_folder = target.is_dir() or len(found) > 1
    try:
        if into_folder:
            target.mkdir(parents=True, exist_ok=True)
        for one in found:
            content = reader.artifact_bytes(one)
            if content is None:
                say(f"flowdeck: artifact {one.seq} has no content any more.")
                continue
            path = target / _name(one) if into_folder else target
            path.write_bytes(content)
            say(f"{len(content):,} bytes ({one.kind}) written to {path}")
    except OSError as error:
        raise Trouble(f"{target} cannot be written: {error.strerror or error}.") from None


def _name(artifact: ShownArtifact) -> str:
    """A file's name, of which only the letters of the key are the run's choice."""
    word = "".join(c if c.isalnum() or c in "-_" else "-" for c in artifact.key or artifact.kind)
    ending = (
        artifact.file.rpartition(".")[2] if artifact.file else _ENDINGS.get(artifact.kind, "json")
    )
    return f"{artifact.seq}-{word[:80]}.{ending}"
