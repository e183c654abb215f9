"""Run loggers, the engine's own lines, and the console.

Three ways lead into the record: ``get_run_logger()`` (a stdlib logger whose records carry the
run), the engine's own lines (:func:`line`, a short cut past ``LogRecord`` because there are
several per task), and prints and extra loggers that are attributed by context. Nothing here ever
waits: a handler that blocks while it holds logging's lock is how engines deadlock.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import MissingContextError
from flowdeck.output import notebook
from flowdeck.output.console import console as console
from flowdeck.output.console import is_on_console
from flowdeck.threads import active
from flowdeck.values.redaction import concealed
from flowdeck_store import events
from flowdeck_store.events import LOG, now_us

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

ROOT = "flowdeck"
FLOW_RUNS = "flowdeck.flow_runs"
TASK_RUNS = "flowdeck.task_runs"
DISABLED = "flowdeck.disabled"
DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

_root = logging.getLogger(ROOT)
_flow_logger = logging.getLogger(FLOW_RUNS)
_task_logger = logging.getLogger(TASK_RUNS)
_null = logging.NullHandler()
_root.addHandler(_null)

_disabled: ContextVar[bool] = ContextVar("flowdeck_run_logger_disabled", default=False)


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the logger ``flowdeck`` or one below it."""
    if name is None or name == ROOT:
        return _root
    return logging.getLogger(name if name.startswith(ROOT + ".") else f"{ROOT}.{name}")


class _RecordHandler(logging.Handler):
    """Puts stdlib log records into the record and on the console, with the run they belong to.

    Records of ours it hands on to the handlers of the root logger (of pytest, Sentry, OpenTelemetry,
    a log file), but for those that write to the console what :data:`console` writes there:
    propagation would hand them to all, so an application's ``basicConfig`` printed each twice.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record; without a lock, that a handler of the application could hold for long."""
        self.emit(record)
        if logging.root.handlers and record.name.startswith(ROOT):
            _to_root(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "flowdeck_seen", False):  # by way of a logger below an extra one
            return
        record.flowdeck_seen = True
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                formatter = self.formatter or _PLAIN
                message = f"{message}\n{formatter.formatException(record.exc_info)}"
            if not getattr(record, "flowdeck_clean", False):
                message = concealed(message)
            _keep(record, record.levelno, message, console.prints(record.levelno))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Report a call that cannot be formatted as any handler does, and record it in one line."""
        with contextlib.suppress(Exception):
            _keep(record, max(record.levelno, WARNING), concealed(_bad_call(record)), False)
        super().handleError(record)


def _keep(record: logging.LogRecord, level: int, message: str, shown: bool) -> None:
    us = int(record.created * 1_000_000)
    run = getattr(record, "flowdeck_run", None)
    if run is None:
        run = active.current_run()
    shown_as = record.name
    if run is not None:
        run.recorder.emit(events.log(run.info.uid, run.no, us, level, record.name, message))
        if record.name in _RUN_LOGGERS:
            shown_as = run.title
    if shown and not getattr(record, "flowdeck_shown", False) and not _is_shown_by_others(record):
        console.write(us, level, shown_as, message)


def _is_shown_by_others(record: logging.LogRecord) -> bool:
    """Say whether the application put a handler for the console on our loggers themselves."""
    if _root.handlers == _ours and not _touched(_task_logger) and not _touched(_flow_logger):
        return False
    handlers = [*_root.handlers, *logging.getLogger(record.name).handlers]
    return any(h.level <= record.levelno and is_on_console(h) for h in handlers)


def _bad_call(record: logging.LogRecord) -> str:
    from flowdeck.values.previews import safe_repr

    problem = sys.exc_info()[1]
    args = record.args if isinstance(record.args, tuple) else (record.args,)
    call = ", ".join([safe_repr(record.msg, 300), *(safe_repr(arg, 60) for arg in args)])
    place = f"{record.pathname}:{record.lineno} in {record.funcName}"
    return f"A log call cannot be formatted ({problem}): {call}, at {place}"


def _to_root(record: logging.LogRecord) -> None:
    # What is for us only: handlers of others write all fields of a record, or pickle them.
    shown = record.__dict__.pop("flowdeck_shown", False)
    for name in ("flowdeck_run", "flowdeck_clean"):
        record.__dict__.pop(name, None)
    if _root.propagate:  # the application wants it like that
        return
    for handler in logging.root.handlers:
        if record.levelno >= handler.level and _gets(handler, record, shown):
            handler.handle(record)


def _gets(handler: logging.Handler, record: logging.LogRecord, shown: bool) -> bool:
    if handler in _root.handlers:  # pytest 9 puts its own on loggers that do not propagate, too
        return False
    if not is_on_console(handler):
        return True
    if console.taken or console.on or shown:
        return False
    return record.levelno >= logging.root.level


_PLAIN = logging.Formatter()
_RUN_LOGGERS = frozenset({FLOW_RUNS, TASK_RUNS})
_handler = _RecordHandler()
#: Handlers of the logger ``flowdeck`` that are ours.
_ours: list[logging.Handler] = [_null, _handler]
_ready = False
#: Loggers that :func:`disable_logger` silences now.
_silenced: list[str] = []


def setup() -> None:
    """Attach the handler (once) and take the settings in. Called when a flow run starts."""
    global _ready
    from flowdeck.settings import get_settings, refresh

    refresh()
    settings = get_settings()
    console.on = settings.console
    console.level = console.engine_level = level_number(settings.log_level)
    if console.level == INFO and notebook.is_front_end():
        console.engine_level = WARNING
    if not _ready:
        _root.propagate = False  # see _RecordHandler
        _ready = True
    if not _is_in_order():
        _put_back()
    for name in settings.extra_loggers:
        extra = logging.getLogger(name)
        if _handler not in extra.handlers:
            extra.addHandler(_handler)
            if extra.level == logging.NOTSET:
                extra.setLevel(INFO)


def _put_back() -> None:
    """Undo what a configuration of logging in the middle of a run does to loggers that it does not
    name: ``dictConfig`` and ``fileConfig`` disable them. The record must not depend on that."""
    if _root.level == logging.NOTSET:
        _root.setLevel(DEBUG)
    for handler in _ours:
        if handler not in _root.handlers:
            _root.addHandler(handler)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        ours = name == ROOT or name.startswith(ROOT + ".")
        if ours and isinstance(logger, logging.Logger) and name not in _silenced:
            logger.disabled = name == DISABLED


def _is_in_order() -> bool:
    if _root.disabled or _flow_logger.disabled or _task_logger.disabled or not _root.level:
        return False
    return _root.handlers == _ours or all(one in _root.handlers for one in _ours)


def level_number(name: str | int) -> int:
    """Return the number of a level name (``INFO`` for one that is unknown)."""
    if isinstance(name, int):
        return name
    number = logging.getLevelName(str(name).upper())
    return number if isinstance(number, int) else INFO


# -- the engine's own lines -----------------------------------------------------------------------


def line(run: Any, level: int, message: str, *, clean: bool = False) -> None:
    """Log one of the engine's own lines for a task run or a flow run.

    Args:
        run: whose.
        level: as :mod:`logging` has it.
        message: the text.
        clean: there is nothing secret in the text: it need not be looked through.

    Goes through :mod:`logging` only if the user did something with our loggers: put handlers of
    their own on them, silenced one or gave it a level.
    """
    if not clean:
        message = concealed(message)
    task, flow, root = _task_logger, _flow_logger, _root
    if (
        # _touched(task) or _touched(flow), written out: there are several lines a task
        task.handlers or task.disabled or task.level or flow.handlers or flow.disabled or flow.level
        or not _ready or root.handlers != _ours or root.disabled
        or (logging.root.handlers and _others_listen())
    ):  # fmt: skip
        if _ready and not _is_in_order():
            _put_back()
        hidden = console.level <= level < console.engine_level
        extra = {**_extra(run), "flowdeck_clean": True, "flowdeck_shown": hidden}
        logging.getLogger(run.logger_name).log(level, "%s", message, extra=extra)
        return
    if level < root.level:
        return
    us = now_us()
    run.recorder.emit((LOG, run.info.uid, run.no, us, level, run.logger_name, message))
    if console.on and level >= console.engine_level:
        console.show(us, level, run.title, message)


def _others_listen() -> bool:
    """Say whether handlers of the application on the root logger wait for what we log."""
    handlers = logging.root.handlers
    return _root.propagate or not (console.on and all(map(is_on_console, handlers)))


def _touched(logger: logging.Logger) -> bool:
    return bool(logger.handlers or logger.disabled or logger.level)


def engine_line(run: Any, level: int, message: str) -> None:
    """Log a line of logger ``flowdeck.engine`` that belongs to a run.

    Args:
        run: the task run or flow run.
        level: as :mod:`logging` has it.
        message: the text.
    """
    if _ready and not _is_in_order():
        _put_back()
    hidden = console.level <= level < console.engine_level
    extra = {"flowdeck_run": run, "flowdeck_shown": hidden}
    get_logger("engine").log(level, "%s", message, extra=extra)


# -- run loggers ------------------------------------------------------------------------------------


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of one run: as a stdlib logger, and its lines are in the run's record."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Say whether a line is logged, also where somebody configured logging anew meanwhile."""
        if not _is_in_order():
            _put_back()
        return self.logger.isEnabledFor(level)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run's fields to those of the call."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def _extra(run: Any) -> dict[str, Any]:
    info = run.info
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
    if _disabled.get():
        silent = logging.getLogger(DISABLED)
        silent.disabled = True
        return silent
    run: Any
    if context is not None:
        if not isinstance(context, active.RunContext):
            raise TypeError(
                f"Received unexpected type {type(context).__name__!r} for context. Expected one "
                "of 'None', 'FlowRunContext', or 'TaskRunContext'."
            )
        run = active.run_of(context)
    else:
        run = active.current_run()
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
    _silenced.append(name)
    logger.disabled = True
    try:
        yield
    finally:
        _silenced.remove(name)
        logger.disabled = before


def exception_text(run: Any, text: str) -> None:
    """Log a run's exception with its traceback text at ERROR."""
    line(run, ERROR, f"Encountered exception during execution:\n{text.rstrip()}", clean=True)
