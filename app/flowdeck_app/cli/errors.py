"""Exit codes, and every error as one clear message on stderr instead of a traceback."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

OK: Final = 0
RUN_FAILED: Final = 1
USAGE: Final = 2
STORE: Final = 3
TIMED_OUT: Final = 124
INTERRUPTED: Final = 130


class Trouble(click.ClickException):
    """What went wrong in a sentence, what to do about it, and the exit code."""

    def __init__(self, message: str, hint: str | None = None, code: int = USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance as well

    def show(self, file: IO[Any] | None = None) -> None:
        first, _, rest = self.message.partition("\n")
        lines = [f"flowdeck: {first}", *([rest] if rest else [])]
        if self.hint:
            lines.append(f"  {self.hint}")
        click.echo("\n".join(lines), file=file or sys.stderr)


@contextlib.contextmanager
def explained(ctx: click.Context | None = None) -> Iterator[None]:
    """Turn whatever a verb raises into :class:`Trouble` or an exit code."""
    try:
        yield
        sys.stdout.flush()  # a reader that went away shows here, not after the last line
    except (Trouble, click.exceptions.Exit):
        raise
    except click.UsageError as error:
        raise _usage(error, ctx) from None
    except click.FileError as error:
        raise Trouble(error.format_message()) from None
    except (click.Abort, KeyboardInterrupt, EOFError):
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader (head, less) has had enough: that is no error. What is still buffered must not
        # complain when the interpreter closes stdout.
        with contextlib.suppress(Exception):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(OK) from None
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
    from flowdeck_store.errors import Ambiguous, LiveRun, NotFound, QueryError, StoreError

    message = str(error) or type(error).__name__
    if isinstance(error, (NotFound, Ambiguous, QueryError, LiveRun)):
        return Trouble(message, code=USAGE)
    if isinstance(error, StoreError):
        return Trouble(message, code=STORE)
    if type(error).__module__ == "sqlite3":  # locked by another program, disk full, not readable
        return Trouble(f"the record cannot be used: {message}.", _LOOK, code=STORE)
    if isinstance(error, FlowdeckError):
        return Trouble(message, code=USAGE)
    return Trouble(
        f"something went wrong inside flowdeck: {type(error).__name__}: {message}",
        "FLOWDECK_DEBUG=1 shows where; please report it.",
        code=RUN_FAILED,
    )
