"""A task as a target: ``flowdeck run FILE:task -p x=1`` runs it alone, as a flow run of one task.

The flow is made here, with the task's name, signature and place in the source. So everything that
knows runs knows this one too: the app, logs, retry (its target is the task again), and the runner
that is asked for executes the task as it would in any flow.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final

from flowdeck.flows import Flow
from flowdeck.task_runners import SequentialTaskRunner

if TYPE_CHECKING:
    from flowdeck.tasks import Task

#: What the name of a flow may not have and that of a task may.
_NOT_IN_FLOW_NAMES: Final = re.compile(r"[/%&<>]")


def flow_of(task: Task[..., Any]) -> Flow[..., Any]:
    """Return a flow that submits the task once, with the arguments it is called with.

    One after the other is the default runner: the task then runs on the main thread, where
    ``breakpoint()`` works.
    """

    def alone(*args: Any, **kwargs: Any) -> Any:
        state = task.submit(*args, **kwargs, return_state=True)
        return state.value() if state.is_completed() else state

    async def alone_async(*args: Any, **kwargs: Any) -> Any:
        state = await task.submit(*args, **kwargs, return_state=True)
        return state.value() if state.is_completed() else state

    fn = functools.wraps(task.fn)(alone_async if task.isasync else alone)
    return Flow(
        fn,
        name=_NOT_IN_FLOW_NAMES.sub("-", task.name),
        task_runner=SequentialTaskRunner(),
        description=task.description,
        log_prints=task.log_prints,
    )
