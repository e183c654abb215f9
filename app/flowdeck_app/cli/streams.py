"""Writing to stdout and stderr, which may be closed, full, or read by nobody any more.

Every text is flushed when it is written: what cannot be written shows there and then, and not when
the interpreter ends, which would print a traceback of its own and lose the exit code.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, Any


class CannotWrite(Exception):
    """Stdout takes nothing more: it is a file on a full disk, say."""


def occupy_standard_streams() -> None:
    """Open what the caller closed (``>&-``) as nothing.

    Else the next file that is opened would get that number, and whatever prints would print into
    the record.
    """
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            break
        os.set_inheritable(number, True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = ("stdin", "stdout", "stderr").index(name)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def write_text(text: str, stream: IO[Any]) -> None:
    """Write text that is clean; what the stream's encoding lacks becomes an escape.

    Raises:
        BrokenPipeError: the reader of stdout went away.
        CannotWrite: stdout cannot be written. (Stderr that cannot be is no reason to stop.)
    """
    try:
        try:
            if text:  # a device that is full refuses even nothing
                stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        if stream is sys.stderr:
            return
        if isinstance(error, BrokenPipeError):
            raise
        raise CannotWrite(error.strerror or str(error)) from None


def json_line(item: Any) -> str:
    """Return an object as one line in plain ASCII without control characters."""
    import json

    return json.dumps(item, separators=(", ", ": ")).replace("\x7f", "\\u007f") + "\n"


def flush_stdout() -> None:
    """Write what is buffered: a reader that went away shows here, not after the last line.

    Raises:
        BrokenPipeError, CannotWrite: as :func:`write_text`.
    """
    write_text("", sys.stdout)


def give_up_stdout() -> None:
    """Let what is still buffered go nowhere, so that the interpreter's end does not complain."""
    with contextlib.suppress(Exception):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
