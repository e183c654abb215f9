"""What the verbs share: where output goes, how it looks, how the record is opened."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from typing import IO, TYPE_CHECKING, Any, Final

import click

from flowdeck_app.cli.errors import INTERRUPTED, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from flowdeck_app.text.look import Look
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


class QueryCommand(click.Command):
    """A verb with a QUERY, in which ``-tag:test`` is a filter and not the option ``-t``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" not in args:
            negated = [word for word in args if _NEGATED.match(word)]
            args = [*(word for word in args if not _NEGATED.match(word)), "--", *negated]
        return super().parse_args(ctx, args)


_NEGATED: Final = re.compile(r"-[a-z_]+:")


def home() -> Path:
    """Return the folder that holds the record."""
    from flowdeck.settings import get_settings

    return get_settings().home


def is_terminal(stream: IO[Any]) -> bool:
    """Say whether a person sees this stream live."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # replaced by something else, or closed
        return False


def look(stream: IO[Any] | None = None) -> Look:
    """Return what a stream (default: stdout) can show."""
    from flowdeck.settings import get_settings
    from flowdeck_app.text.look import Look
    from flowdeck_store.events import now_us

    stream = sys.stdout if stream is None else stream
    terminal = is_terminal(stream)
    wanted = get_settings().color
    return Look(
        now_us=now_us(),
        width=shutil.get_terminal_size().columns if terminal else None,
        color=wanted == "always" or (wanted == "auto" and terminal),
        ascii=not _can_show(stream, "✓▸━…"),
    )


def _can_show(stream: IO[Any], glyphs: str) -> bool:
    try:
        glyphs.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def echo(lines: Iterable[str], stream: IO[Any] | None = None) -> None:
    """Write lines to stdout; what its encoding lacks becomes an escape."""
    stream = sys.stdout if stream is None else stream
    text = "".join(f"{line}\n" for line in lines)
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def say(message: str) -> None:
    """Tell the user something that is not data."""
    echo([message], sys.stderr)


def plural(count: int, word: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def echo_json(objects: Iterable[Any]) -> None:
    """Write one JSON object a line, in plain ASCII so that every terminal and pipe takes it."""
    import json

    for item in objects:
        sys.stdout.write(json.dumps(item, separators=(", ", ": ")) + "\n")
        sys.stdout.flush()


@contextlib.contextmanager
def reading() -> Iterator[Reader]:
    """Open the record for reading, after runs whose process is gone were marked Crashed."""
    from flowdeck_store.reader import Reader

    look_after_dead()
    with Reader.open(home()) as reader:
        yield reader


def look_after_dead() -> None:
    """Mark runs whose process died, and say which."""
    from flowdeck_store.errors import StoreError
    from flowdeck_store.liveness import recover

    try:
        found = recover(home())
    except StoreError:
        return  # a record that can only be read (or not even that) is said by whoever reads it
    for item in found:
        if item.run_ids:
            runs = ", ".join(f"#{run_id}" for run_id in item.run_ids[:10])
            process = f"process {item.pid} on {item.host}"
            say(f"flowdeck: {process} is gone without ending run {runs}: marked as Crashed.")


def ask(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Raises:
        Trouble: nobody is there to answer, or the answer was no.
    """
    if yes:
        return
    if not is_terminal(sys.stdin):
        raise Trouble(f"{question} Nothing was done.", "add --yes to do it without being asked.")
    if not click.confirm(question, err=True):
        raise Trouble("nothing was done.", code=INTERRUPTED)


def exit_code(run: FlowRunRecord) -> int:
    """Return the exit code of a run that is over: 0 completed, 130 cancelled, else 1."""
    from flowdeck_app.cli.errors import OK, RUN_FAILED
    from flowdeck_store.states import CANCELLED, COMPLETED

    return {COMPLETED: OK, CANCELLED: INTERRUPTED}.get(run.code, RUN_FAILED)


def complete_run(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    """Complete a run by name or number, newest first."""
    from click.shell_completion import CompletionItem

    from flowdeck_store.reader import Reader

    items = [
        CompletionItem(word, help="the newest run" if word == "@last" else "the newest failed run")
        for word in ("@last", "@last-failed")
    ]
    with contextlib.suppress(Exception), Reader.open(home()) as reader:
        for run in reader.runs(limit=100):
            word = str(run.id) if incomplete[:1].isdigit() else run.name
            items.append(CompletionItem(word, help=f"{run.flow} {run.state}"))
    return [item for item in items if str(item.value).startswith(incomplete)]


def run_argument(name: str = "run", *, many: bool = False) -> Callable[[Any], Any]:
    """Declare the argument RUN."""
    return click.argument(
        name,
        metavar="RUN..." if many else "RUN",
        nargs=-1 if many else 1,
        required=True,
        shell_complete=complete_run,
    )
