"""flowdeck: run, watch and repair Python flows from a terminal.

Flows and tasks are plain functions with :func:`flow` and :func:`task`; what they do is recorded in
a local store, which the ``flowdeck`` command and its terminal app show live and afterwards.
"""

from typing import Any

from flowdeck import absent
from flowdeck.annotations import allow_failure, quote, unmapped
from flowdeck.context import tags
from flowdeck.flows import Flow, flow
from flowdeck.logging import get_run_logger
from flowdeck.once import once_per_worker
from flowdeck.questions.asking import ask, ask_async, pause, pause_async
from flowdeck.reporting import artifact
from flowdeck.reporting.progress import progress
from flowdeck.reporting.tracking import track
from flowdeck.states import State
from flowdeck.tasks import Task, task
from flowdeck.version import __version__

__all__ = [
    "Flow",
    "State",
    "Task",
    "__version__",
    "allow_failure",
    "artifact",
    "ask",
    "ask_async",
    "flow",
    "get_run_logger",
    "once_per_worker",
    "pause",
    "pause_async",
    "progress",
    "quote",
    "tags",
    "task",
    "track",
    "unmapped",
]

absent.install()


def __getattr__(name: str) -> Any:
    told = absent.what_instead(name)
    if told is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not an AttributeError: `from flowdeck import serve` would say nothing but that it failed.
    raise ImportError(told, name=__name__)
