"""flowdeck: run, watch and repair Python flows from a terminal.

Flows and tasks are plain functions with :func:`flow` and :func:`task`; what they do is recorded in
a local store, which the ``flowdeck`` command and its terminal app show live and afterwards.
"""

from flowdeck.annotations import allow_failure, quote, unmapped
from flowdeck.context import tags
from flowdeck.flows import Flow, flow
from flowdeck.logging import get_run_logger
from flowdeck.states import State
from flowdeck.tasks import Task, task

__version__ = "0.1.0"

__all__ = [
    "Flow",
    "State",
    "Task",
    "__version__",
    "allow_failure",
    "flow",
    "get_run_logger",
    "quote",
    "tags",
    "task",
    "unmapped",
]
