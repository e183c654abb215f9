"""What the command line says: data on stdout, talk on stderr, questions."""

from __future__ import annotations

import os
import shutil
import sys
from typing import IO, TYPE_CHECKING, Any

import click

from flowdeck_app.cli.errors import INTERRUPTED, Trouble
from flowdeck_app.cli.streams import json_line, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_app.drawing.look import Look


def is_terminal(stream: IO[Any]) -> bool:
    """Say whether a person sees this stream live."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # replaced by something else, or closed
        return False


def in_color(stream: IO[Any]) -> bool:
    """Say whether a stream gets colours."""
    from flowdeck.settings import get_settings

    wanted = get_settings().color
    return wanted == "always" or (wanted == "auto" and is_terminal(stream))


def stream_look(stream: IO[Any] | None = None) -> Look:
    """Return what a stream (default: stdout) can show."""
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.signs import ASCII, UNICODE
    from flowdeck_store.events import now_us

    stream = sys.stdout if stream is None else stream
    terminal = is_terminal(stream)
    return Look(
        now_us=now_us(),
        width=shutil.get_terminal_size().columns if terminal else None,
        color=in_color(stream),
        symbols=UNICODE if _can_show(stream, "✓▸━…") else ASCII,
    )


def _can_show(stream: IO[Any], glyphs: str) -> bool:
    try:
        glyphs.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def echo(lines: Iterable[str], stream: IO[Any] | None = None) -> None:
    """Write lines to stdout; control sequences (other than our colours) and what its encoding
    lacks become escapes."""
    from flowdeck_app.drawing.look import painted
    from flowdeck_store.safe import several

    stream = sys.stdout if stream is None else stream
    clean = painted if in_color(stream) else several
    write_text("".join(f"{clean(line)}\n" for line in lines), stream)


def say(message: str) -> None:
    """Tell the user something that is not data, in one line whatever names are in it."""
    from flowdeck_store.safe import one_line

    echo([one_line(message, 10_000)], sys.stderr)


def plural(count: int, word: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def echo_json(objects: Iterable[Any]) -> None:
    """Write one JSON object a line, in plain ASCII so that every terminal and pipe takes it."""
    for item in objects:
        write_text(json_line(item), sys.stdout)


def ask(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Raises:
        Trouble: nobody is there to answer, or the answer was no.
    """
    from flowdeck_store.safe import one_line

    if yes:
        return
    question = one_line(question, 10_000)
    if not is_terminal(sys.stdin):
        raise Trouble(f"{question} Nothing was done.", "add --yes to do it without being asked.")
    if not click.confirm(question, err=True):
        raise Trouble("nothing was done.", code=INTERRUPTED)
