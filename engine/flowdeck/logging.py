"""Run loggers, the engine's own lines, and the console.

Three ways lead into the record: ``get_run_logger()`` (a stdlib logger whose records carry the
run), the engine's own lines (:func:`line`, a short cut past ``LogRecord`` because there are
several per task), and prints and extra loggers that are attributed by context. Nothing here ever
waits: a handler that blocks while it holds logging's lock is how engines deadlock.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
import threading
import time
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flowdeck import context
from flowdeck.exceptions import MissingContextError
from flowdeck_store import events
from flowdeck_store.events import LOG, now_us

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from flowdeck.runs import FlowRunInfo, TaskRun

ROOT = "flowdeck"
FLOW_RUNS = "flowdeck.flow_runs"
TASK_RUNS = "flowdeck.task_runs"
DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

_root = logging.getLogger(ROOT)
_flow_logger = logging.getLogger(FLOW_RUNS)
_task_logger = logging.getLogger(TASK_RUNS)
_root.addHandler(logging.NullHandler())

_disabled: ContextVar[bool] = ContextVar("flowdeck_run_logger_disabled", default=False)


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the logger ``flowdeck`` or one below it."""
    if name is None or name == ROOT:
        return _root
    return logging.getLogger(name if name.startswith(ROOT + ".") else f"{ROOT}.{name}")


# -- the console ----------------------------------------------------------------------------------


class Console:
    """Writes ``HH:MM:SS.mmm | LEVEL   | NAME - message`` to stderr; never raises.

    On a terminal each line is written at once, so that it stands where it belongs between what
    the flow prints. Into a file or pipe, where writing gives up the interpreter lock for every
    line, lines of :data:`_LINGER` seconds are written together; from WARNING on, at once.
    """

    def __init__(self) -> None:
        self.level = INFO
        self.on = False
        self._second = -1
        self._clock = ""
        self._lines: deque[str] = deque()
        self._written_at = 0.0
        self._timer: threading.Timer | None = None
        self._stream: Any = None
        self._terminal = False

    def write(self, us: int, level: int, name: str, message: str) -> None:
        """Write one line (or several, if the message has them)."""
        if not self.on or level < self.level:
            return
        second, rest = divmod(us, 1_000_000)
        if second != self._second:
            self._clock = time.strftime("%H:%M:%S", time.localtime(second))
            self._second = second
        level_name = _LEVEL_NAMES.get(level) or f"{logging.getLevelName(level):<7}"
        self._lines.append(
            f"{self._clock}.{rest // 1000:03d} | {level_name} | {name} - {message}\n"
        )
        now = time.monotonic()
        if level >= WARNING or now - self._written_at >= _LINGER or self._on_terminal():
            self._written_at = now
            self.flush()
        elif self._timer is None:
            self._timer = threading.Timer(_LINGER, self._late)
            self._timer.daemon = True
            self._timer.start()

    def _on_terminal(self) -> bool:
        stream = sys.stderr
        if stream is not self._stream:  # isatty is a system call: ask once for each stream
            self._stream = stream
            self._terminal = _is_terminal(stream)
        return self._terminal

    def _late(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Write what lingers."""
        lines = self._lines
        text = []
        while lines:
            try:
                text.append(lines.popleft())
            except IndexError:  # another thread took it
                break
        if text:
            _write("".join(text))


#: Seconds for which lines into a file or pipe may linger.
_LINGER = 0.05
_LEVEL_NAMES = {level: f"{logging.getLevelName(level):<7}" for level in (10, 20, 30, 40, 50)}


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except Exception:
        return False


def _write(text: str) -> None:
    stream = sys.stderr
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        with contextlib.suppress(Exception):
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except Exception:
        # A closed or broken stderr must not fail a run; the record has the line.
        pass


console = Console()
atexit.register(console.flush)


class _RecordHandler(logging.Handler):
    """Puts stdlib log records into the record and on the console, with the run they belong to."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "flowdeck_seen", False):  # by way of a logger below an extra one
            return
        record.flowdeck_seen = True
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                formatter = self.formatter or _PLAIN
                message = f"{message}\n{formatter.formatException(record.exc_info)}"
            us = int(record.created * 1_000_000)
            run = getattr(record, "flowdeck_run", None)
            if run is None:
                run = context.current_task_run.get() or context.current_flow_run.get()
            shown_as = record.name
            if run is not None:
                run.recorder.emit(
                    events.log(run.info.uid, run.no, us, record.levelno, record.name, message)
                )
                if record.name in _RUN_LOGGERS:
                    shown_as = run.title
            console.write(us, record.levelno, shown_as, message)
        except Exception:
            self.handleError(record)


_PLAIN = logging.Formatter()
_RUN_LOGGERS = frozenset({FLOW_RUNS, TASK_RUNS})
_handler = _RecordHandler()
_ready = False


def setup() -> None:
    """Attach the handler (once) and take the settings in. Called when a flow run starts."""
    global _ready
    from flowdeck.settings import get_settings

    settings = get_settings()
    console.on = settings.console
    console.level = level_number(settings.log_level)
    if not _ready:
        _root.addHandler(_handler)
        if _root.level == logging.NOTSET:
            _root.setLevel(DEBUG)
        _root.propagate = False  # else an application's basicConfig prints each line twice
        _ready = True
    for name in settings.extra_loggers:
        extra = logging.getLogger(name)
        if _handler not in extra.handlers:
            extra.addHandler(_handler)
            if extra.level == logging.NOTSET:
                extra.setLevel(INFO)


def level_number(name: str | int) -> int:
    """Return the number of a level name (``INFO`` for one that is unknown)."""
    if isinstance(name, int):
        return name
    number = logging.getLevelName(str(name).upper())
    return number if isinstance(number, int) else INFO


# -- the engine's own lines -----------------------------------------------------------------------


def line(run: Any, level: int, message: str) -> None:
    """Log one of the engine's own lines for a task run or a flow run.

    Goes through :mod:`logging` only if the user did something with our loggers: put handlers of
    their own on them, silenced one or gave it a level.
    """
    if not _ready or len(_root.handlers) > 2 or _touched(_task_logger) or _touched(_flow_logger):
        logging.getLogger(run.logger_name).log(level, "%s", message, extra=_extra(run))
        return
    if level < _root.level:
        return
    us = now_us()
    run.recorder.emit((LOG, run.info.uid, run.no, us, level, run.logger_name, message))
    if console.on and level >= console.level:
        console.write(us, level, run.title, message)


def _touched(logger: logging.Logger) -> bool:
    return bool(logger.handlers or logger.disabled or logger.level)


def engine_line(run: Any, level: int, message: str) -> None:
    """Log a line of logger ``flowdeck.engine`` that belongs to a run."""
    get_logger("engine").log(level, "%s", message, extra={"flowdeck_run": run})


# -- run loggers ------------------------------------------------------------------------------------


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of one run: as a stdlib logger, and its lines are in the run's record."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run's fields to those of the call."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def _extra(run: Any) -> dict[str, Any]:
    info: FlowRunInfo = run.info
    extra: dict[str, Any] = {
        "flowdeck_run": run,
        "flow_run_name": info.name,
        "flow_run_id": info.uid,
        "flow_name": info.flow_name,
    }
    if hasattr(run, "task"):
        extra |= {
            "task_run_name": run.name,
            "task_run_id": run.uid,
            "task_name": run.task.name,
        }
    return extra


def logger_of(run: Any, **extra: Any) -> RunLogger:
    """Return the logger of a task run or flow run; ``extra`` goes on each record."""
    base = _task_logger if hasattr(run, "task") else _flow_logger
    return RunLogger(base, {**_extra(run), **extra})


def get_run_logger(
    context: Any = None,  # the peer's name for it
    **extra: Any,
) -> logging.LoggerAdapter[logging.Logger] | logging.Logger:
    """Return the logger of the active task run, else of the active flow run.

    Args:
        context: a :class:`~flowdeck.context.FlowRunContext` or ``TaskRunContext`` to use instead
            of the active one.
        **extra: attached to each record.

    Raises:
        MissingContextError: no run is active.
        TypeError: ``context`` is something else.
    """
    from flowdeck.context import (
        FlowRunContext,
        TaskRunContext,
        current_flow_run,
        current_task_run,
    )

    if _disabled.get():
        silent = logging.getLogger("flowdeck.disabled")
        silent.disabled = True
        return silent
    run: Any
    if context is not None:
        if not isinstance(context, (FlowRunContext, TaskRunContext)):
            raise TypeError(
                f"Received unexpected type {type(context).__name__!r} for context. Expected one "
                "of 'None', 'FlowRunContext', or 'TaskRunContext'."
            )
        run = context._run
    else:
        run = current_task_run.get() or current_flow_run.get()
    if run is None:
        raise MissingContextError("There is no active flow or task run context.")
    setup()
    return logger_of(run, **extra)


@contextlib.contextmanager
def disable_run_logger() -> Iterator[None]:
    """Let ``task.fn()`` with :func:`get_run_logger` inside work without a run, silently."""
    token = _disabled.set(True)
    try:
        yield
    finally:
        _disabled.reset(token)


@contextlib.contextmanager
def disable_logger(name: str) -> Iterator[None]:
    """Silence one logger inside the block."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def exception_text(run: TaskRun | Any, text: str) -> None:
    """Log a run's exception with its traceback text at ERROR."""
    line(run, ERROR, f"Encountered exception during execution:\n{text.rstrip()}")
