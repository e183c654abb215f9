"""Exit codes, and every error as one clear message on stderr instead of a traceback.

A verb raises what it gets; :func:`explained`, round all of them, makes a sentence and an exit code
of it. So an exception of the store reads the same whichever verb met it, and no verb has an
``except`` for errors that it can do nothing about.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING, Any, Final

import click

from flowdeck_app.cli.streams import (
    CannotWrite,
    flush_stdout,
    give_up_stdout,
    json_line,
    write_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.read.records import FlowRunRecord

OK: Final = 0
RUN_FAILED: Final = 1
USAGE: Final = 2
STORE: Final = 3
OUTPUT: Final = 74
TIMED_OUT: Final = 124
INTERRUPTED: Final = 130
UNREACHABLE: Final = 255


class Trouble(click.ClickException):
    """What went wrong in a sentence, what to do about it, and the exit code."""

    def __init__(self, message: str, hint: str | None = None, code: int = USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.as_json = False
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance as well

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it to stderr: as lines, or as one JSON object where ``--json`` was given."""
        from flowdeck_store.safe import several

        self.hint = with_other_version(self.hint)
        if self.as_json:
            problem = {"error": self.message, "hint": self.hint, "exit_code": self.exit_code}
            write_text(json_line(problem), file or sys.stderr)
            return
        said = [f"flowdeck: {self.message}", *([f"  {self.hint}"] if self.hint else [])]
        write_text("".join(f"{several(part)}\n" for part in said), file or sys.stderr)


#: The version of the flowdeck that has called this one from another machine; ``""``: none has.
_caller = ""


def called_from(version: str) -> None:
    """Note which flowdeck has called this one from another machine."""
    global _caller
    _caller = version


def is_called() -> bool:
    """Say whether this flowdeck was called from another machine."""
    return bool(_caller)


def with_other_version(hint: str | None) -> str | None:
    """Return a hint that also says that the one who asks has another flowdeck, if that is so."""
    if not _caller:
        return hint
    from flowdeck.version import __version__

    if _caller == __version__:
        return hint
    said = f"This is flowdeck {__version__}; the one that called it has {_caller}."
    return f"{hint} {said}" if hint else said


def exit_code(run: FlowRunRecord) -> int:
    """Return the exit code of a run that is over: 0 completed, 130 cancelled, else 1."""
    from flowdeck_store.states import CANCELLED, COMPLETED

    return {COMPLETED: OK, CANCELLED: INTERRUPTED}.get(run.code, RUN_FAILED)


@contextlib.contextmanager
def explained(ctx: click.Context | None = None, *, as_json: bool = False) -> Iterator[None]:
    """Turn whatever a verb raises into :class:`Trouble` or an exit code.

    Args:
        ctx: of the verb.
        as_json: write it as a JSON object.
    """
    try:
        with _as_trouble(ctx):
            yield
            flush_stdout()
    except Trouble as trouble:
        trouble.as_json = as_json
        raise


@contextlib.contextmanager
def _as_trouble(ctx: click.Context | None) -> Iterator[None]:
    try:
        yield
    except (Trouble, click.exceptions.Exit):
        raise
    except click.UsageError as error:
        raise _usage(error, ctx) from None
    except click.FileError as error:
        raise Trouble(error.format_message()) from None
    except (click.Abort, KeyboardInterrupt, EOFError):
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        give_up_stdout()  # the reader (head, less) has had enough: that is no error
        raise click.exceptions.Exit(OK) from None
    except CannotWrite as error:
        give_up_stdout()
        raise Trouble(f"the output cannot be written: {error}.", code=OUTPUT) from None
    except Exception as error:
        if os.environ.get("FLOWDECK_DEBUG"):
            raise
        raise _translated(error) from None


def _usage(error: click.UsageError, ctx: click.Context | None) -> Trouble:
    ctx = error.ctx or ctx
    path = ctx.command_path if ctx else "flowdeck"
    message, near = error.format_message(), ""
    if isinstance(error, click.NoSuchOption):
        message = f"there is no option {error.option_name}"
        near = f"did you mean {', '.join(error.possibilities)}? " if error.possibilities else ""
    message = message.rstrip(".")
    return Trouble(
        f"{message[:1].lower()}{message[1:]}.", f"{near}`{path} --help` shows the usage."
    )


_LOOK: Final = "`flowdeck doctor` says more."


def _translated(error: Exception) -> Trouble:
    from flowdeck.exceptions import FlowdeckError
    from flowdeck_store.errors import (
        Ambiguous,
        BadFile,
        LiveRun,
        NotFound,
        NothingToSearchFor,
        QueryError,
        StoreError,
    )

    message = str(error) or type(error).__name__
    if isinstance(error, (NotFound, Ambiguous, QueryError, LiveRun, BadFile, NothingToSearchFor)):
        return Trouble(message, code=USAGE)
    if isinstance(error, StoreError):
        return Trouble(message, code=STORE)
    if type(error).__module__ == "sqlite3":  # locked by another program, disk full, not readable
        from flowdeck_store.file.left_behind import reason_of

        return Trouble(f"the record cannot be used: {reason_of(error)}.", _LOOK, code=STORE)
    if isinstance(error, FlowdeckError):
        return Trouble(message, code=USAGE)
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        said = repr(error.object[:80])
        return Trouble(f"{said} is no text: it has bytes that are not UTF-8.", code=USAGE)
    if isinstance(error, OSError) and error.filename is not None:  # a file that the user named
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        return Trouble(f"{str(name)[:200]} cannot be used: {error.strerror}.", code=USAGE)
    return Trouble(
        f"something went wrong inside flowdeck: {type(error).__name__}: {message}",
        "FLOWDECK_DEBUG=1 shows where; please report it.",
        code=RUN_FAILED,
    )
