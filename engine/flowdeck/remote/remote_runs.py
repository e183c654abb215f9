"""The task runs of a flow run that execute elsewhere, as the flow's process knows them.

An engine (Dask, Ray) tells two stories of each task: its own, by futures, and ours, by the events that
the worker sends while the task runs. They take different ways, arrive in any order, and either may
be lost. Only ours knows of states, log lines and retries. So a run ends when its END has come in and
all events before it are recorded; the engine's story is read for what no worker can tell: that it
died (:meth:`RemoteRuns.crash`), or that the task is done and its last events never came
(:meth:`RemoteRuns.recover`). Ending a run when its future is done would lose log lines: on Dask, 904
of 1,000 done-callbacks ran before the last event was seen. It would also cost more: a callback for each
task is dearer than a look at all futures four times a second.

All of that happens on one :class:`~flowdeck.remote.service_thread.ServiceThread`. A value stays on the
cluster unless it is small; it is moved here when somebody asks for it, when the run keeps its result,
or when the flow returns it and the cluster is about to go.

Ended runs may come back: one that was given up goes on in its worker, and one whose value was lost
with its worker is executed again, which Dask does by itself. So the executions of ended runs are
remembered, at a few bytes each. Their late log lines are recorded; the state of the run is not touched.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import MissingResult
from flowdeck.lifecycle.task import keep_result_of
from flowdeck.logging import ERROR, WARNING, line
from flowdeck.remote import errors
from flowdeck.remote.events import (
    AFTERWARDS,
    AGAIN,
    ATOM,
    BLOCKED,
    CARRIED,
    END,
    PROCESS,
    REMOTE,
    End,
    decode,
)
from flowdeck.remote.events import ERROR as ERROR_DATA
from flowdeck.remote.remote_run import PastExecution, RemoteRun, ended_state, executed_again
from flowdeck.remote.rescue import rescue
from flowdeck.remote.service_thread import ServiceThread, safely
from flowdeck.remote.values import Carried, RemoteValue
from flowdeck.runs import slots
from flowdeck.runs.task_run import Slots
from flowdeck.states import LazyValue, State
from flowdeck.states.transitions import crash_message
from flowdeck.values.statics import is_a
from flowdeck_store import events
from flowdeck_store.states import SCHEDULED

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from flowdeck.remote.events import Item
    from flowdeck.remote.payload import Payload
    from flowdeck.remote.pickling import Pickling
    from flowdeck.remote.values import Reply
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun

#: Bytes of an exception up to which it comes to the flow's process without being asked for.
_LARGE_ERROR: Final = 64 * 1024 * 1024


class RemoteRuns:
    """The task runs of one flow run that an engine has.

    Args:
        flow_run: whose.
        pickling: the engine's flavour.
        fetch: moves the reply of a handle here; blocks. May raise anything.
        on_tick: called on the thread of these runs every ``tick`` seconds.
        name: of the engine, for the thread.
        weigh: returns :func:`flowdeck.remote.sizes.weight` of the values of handles, found out
            where they are; takes them, the limit, and the seconds it has.
        lets_go_later: handles of values that came along are kept until the next tick: letting go
            of one is a message to the engine, and those of a moment go together.
        tick: seconds.
    """

    def __init__(
        self,
        flow_run: FlowRun,
        *,
        pickling: Pickling,
        fetch: Callable[[Any], Reply],
        on_tick: Callable[[], None],
        name: str,
        weigh: Callable[[list[Any], int, float], list[int | None]] | None = None,
        lets_go_later: bool = False,
        tick: float = 0.25,
    ) -> None:
        self.flow_run = flow_run
        #: Takes a run whose attempt has come home to be tried again after some seconds.
        self.on_retry: Callable[[TaskRun, float], None] | None = None
        #: Those that have not ended, by number. Iterate over a copy: other threads add to it.
        self.open: dict[int, RemoteRun] = {}
        self._pickling = pickling
        self._fetch = fetch
        self._on_tick = on_tick
        self._weigh = weigh
        self._submitting = threading.Lock()
        #: The execution that counted of each run that has ended; ``None`` once others were recorded.
        self._ended: dict[int, PastExecution | None] = {}
        #: The executions after that, by the number of the run.
        self._again: dict[int, set[int]] = {}
        #: Those that have ended while their functions go on, and keep their slots.
        self._lingering: dict[int, TaskRun] = {}
        #: Handles that nobody needs.
        self._done: deque[Any] = deque(maxlen=None if lets_go_later else 0)
        #: What the last sample of each worker said, bytes.
        self._memory: dict[str, int] = {}
        self._lazy: weakref.WeakSet[RemoteValue] = weakref.WeakSet()
        thread = ServiceThread(
            on_batch=self._record_batch, on_tick=self._check_all, name=name, tick=tick
        )
        self.start, self.close = thread.start, thread.close
        self.receive, self.receive_all = thread.receive, thread.receive_all
        self.call_soon, self.call_on_helper = thread.call_soon, thread.call_on_helper

    # -- any thread -----------------------------------------------------------------------------------

    def add(self, run: TaskRun, payload: Payload) -> RemoteRun:
        """Note a run that is about to be submitted to the engine."""
        remote_run = RemoteRun(run, payload.waits, payload.keeps, self._ended.pop(run.no, None))
        remote_run.memory = self._memory
        remote_run.shares = payload.shares
        self.open[run.no] = remote_run
        return remote_run

    def submitting(self) -> AbstractContextManager[Any]:
        """Around a submission and noting its handle: no run ends meanwhile."""
        return self._submitting

    def drop(self, remote_run: RemoteRun) -> None:
        """Forget a run that somebody else ends."""
        if self.open.get(remote_run.run.no) is remote_run:
            self._ended[remote_run.run.no] = remote_run.past_execution
            if remote_run.run.slots is Slots.IN_USE:
                self._lingering[remote_run.run.no] = remote_run.run
            del self.open[remote_run.run.no]
            remote_run.shares = ()

    def tracks(self, run: TaskRun) -> bool:
        """Say whether the engine can be told to wait for this run: not if its handle may turn out
        to be that of an attempt that is tried again."""
        remote_run = self.open.get(run.no)
        is_here = remote_run is not None and remote_run.run is run and remote_run.handle is not None
        return is_here and not run.slots

    def handle_of(self, item: Any) -> Any:
        """Return the engine's handle whose value is that of a task run or state, or ``None``."""
        if isinstance(item, State):
            data = item.data
            return data.handle if is_a(data, RemoteValue) and data.runs is self else None
        remote_run = self.open.get(item.no)
        return remote_run.handle if remote_run is not None and remote_run.run is item else None

    def fetch(self, handle: Any) -> Reply:
        """Move a reply here.

        Raises:
            MissingResult: it is gone.
        """
        try:
            return self._fetch(handle)
        except MissingResult:
            raise
        except Exception as error:
            raise MissingResult(
                f"The value is not on the cluster any more: {type(error).__name__}: {error}. Run "
                "the task again to have it, or let it keep its result (persist_result=True)."
            ) from error

    def weigh(self, values: list[RemoteValue], limit: int, seconds: float) -> None:
        """Find out how many bytes values have that are on the cluster; sets their ``size``.

        Args:
            values: of these runs.
            limit: bytes; what has more stays unknown.
            seconds: that this may take.
        """
        if self._weigh is not None and values:
            found = self._weigh([value.handle for value in values], limit, seconds)
            for value, size in zip(values, found, strict=True):
                value.size = size

    # -- what comes in, on the thread -------------------------------------------------------------------

    def _record_batch(self, batch: bytes) -> None:
        process, items = decode(batch)
        quiet = process == PROCESS
        for item in items:
            safely(self._handle_item, (item, quiet))

    def _handle_item(self, item: Item, quiet: bool) -> None:
        if item.first == AFTERWARDS:
            self._function_is_over(item.no)
            return
        remote_run = self.open.get(item.no)
        if remote_run is None:
            self._record_stray(item, quiet)
            return
        end = remote_run.receive(item, quiet)
        if end is not None:
            self._end(remote_run, end)

    def _check_all(self) -> None:
        for remote_run in list(self.open.copy().values()):
            end = remote_run.give_up_gap()
            if end is not None:
                self._end(remote_run, end)
        self._done.clear()
        self._on_tick()

    def _record_stray(self, item: Item, quiet: bool) -> None:
        """Events of a run that has ended here: it was given up and goes on, or the engine executes
        it again because a dependent needs its value, which was lost."""
        uid = self.flow_run.info.uid
        if item.no in self._lingering and any(event[events.KIND] == END for event in item.events):
            self._function_is_over(item.no)
        counted = self._ended.get(item.no)
        if counted is None:
            return
        known = counted.with_past().get(item.execution)
        if known is not None:
            known.record_logs(self.flow_run.recorder, item, quiet, f"{uid}.{item.no}")
        elif item.execution not in (again := self._again.setdefault(item.no, set())):
            again.add(item.execution)
            executed_again(self.flow_run.recorder, uid, item.no, len(again) + 1)

    def _function_is_over(self, no: int) -> None:
        """The function of a run is over that went on after the run's end."""
        run = self._lingering.pop(no, None)
        if run is not None:
            slots.vacate(run)
        elif no in self.open:  # its END is still on the way
            slots.vacate(self.open[no].run)

    # -- ending -----------------------------------------------------------------------------------------

    def _end(self, remote_run: RemoteRun, end: End) -> None:
        kind, data = end.data_kind, end.data
        if remote_run.handle is None:  # it ended before its submission returned
            with self._submitting:
                pass
        if kind == BLOCKED:
            self.drop(remote_run)
            names = {upstream.uid: upstream.name for upstream, _ in remote_run.waits}
            remote_run.run.owner.submissions.block(remote_run.run, names.get(data, data))
            return
        if kind == AGAIN:
            self.drop(remote_run)
            assert self.on_retry is not None
            self.on_retry(remote_run.run, data)
            return
        if kind == ATOM:
            value = data
            self._done.append(remote_run.handle)
        elif kind == CARRIED:
            value = Carried(data)
            self._done.append(remote_run.handle)
        elif kind == ERROR_DATA:
            value = errors.unpack(data)
        else:
            value = self._remote_value(remote_run, data)
        state = ended_state(remote_run, end, value)
        if remote_run.keeps and state.is_completed():
            self.call_on_helper(self._keep_result, remote_run, state)
        elif kind == REMOTE and not state.is_completed() and (data or 0) <= _LARGE_ERROR:
            self.call_on_helper(self._fetch_error, remote_run, state)
        else:
            self._record_end(remote_run, state)

    def _remote_value(self, remote_run: RemoteRun, size: int | None) -> RemoteValue:
        value = RemoteValue(self, remote_run.handle, size)
        self._lazy.add(value)
        return value

    def _keep_result(self, remote_run: RemoteRun, state: State[Any]) -> None:
        """Write the result to disk, on a helper's thread: it may have to be moved here first."""
        run, lazy = remote_run.run, state.data
        try:
            state.data = lazy.load() if is_a(lazy, LazyValue) else lazy
            loaded = state.data
            keep_result_of(run, state)
            if state.data is loaded:
                state.data = lazy
        except Exception as error:
            line(run, ERROR, f"The result is not kept: {type(error).__name__}: {error}")
            state.data = lazy
        self.call_soon(self._record_end, remote_run, state)

    def _fetch_error(self, remote_run: RemoteRun, state: State[Any]) -> None:
        """Move an exception here that was too large to ride along, on a helper's thread: it is what
        the flow fails with, also when the cluster is gone."""
        assert is_a(state.data, RemoteValue)
        with contextlib.suppress(MissingResult):
            state.data.keep()
        self.call_soon(self._record_end, remote_run, state)

    def _record_end(self, remote_run: RemoteRun, state: State[Any]) -> None:
        """Record the last state, and let the flow go on."""
        run = remote_run.run
        self.drop(remote_run)
        rest = remote_run.take_rest()
        if run.is_final:  # ended from outside meanwhile, because it was to stop
            slots.vacate(run)
            return
        run.enter(state)
        for event in rest:
            run.recorder.emit(event)
        run.owner.ended(run)

    def crash(
        self, remote_run: RemoteRun, error: BaseException, message: str | None = None
    ) -> None:
        """End a run that the engine has lost: NotReady if an upstream is why, else Crashed. To be
        called on the thread of these runs.

        Args:
            remote_run: the run.
            error: what it is lost by.
            message: of its state; ``None`` for what the error says.
        """
        if self.open.get(remote_run.run.no) is not remote_run:
            return
        self.drop(remote_run)
        remote_run.abandon()
        run = remote_run.run
        submissions = run.owner.submissions
        for upstream, allowed in remote_run.waits:
            state = upstream.state
            if upstream.is_final and not (state.is_completed() or allowed):
                submissions.block(run, upstream.name)
                return
        submissions.crash(run, message or crash_message(error), error)

    def memory_of(self, remote_run: RemoteRun) -> int | None:
        """Return what the last sample of the worker said that executed a run, bytes."""
        return self._memory.get(remote_run.worker or "")

    def recover(self, remote_run: RemoteRun, reply: Reply) -> None:
        """End a run of which the engine has the reply, but whose last events never came.

        To be called on the thread of these runs.
        """
        if self.open.get(remote_run.run.no) is not remote_run:
            return
        remote_run.abandon()
        kind: int = REMOTE
        data: Any = None
        if reply.blocked_by is not None:
            kind, data = BLOCKED, reply.blocked_by
        elif reply.code == SCHEDULED:
            kind, data = AGAIN, reply.content
        elif is_a(reply.content, BaseException):
            kind, data = ERROR_DATA, errors.pack(reply.content, self._pickling)
        line(remote_run.run, WARNING, "The last events of this run were lost on their way.")
        if kind == REMOTE:  # no result in the record would say that it returned None
            uid, no = self.flow_run.info.uid, remote_run.run.no
            self.flow_run.recorder.emit(
                events.result(uid, no, events.now_us(), "?", None, None, None)
            )
        end = End(END, reply.code, None, None, events.now_us(), kind, data, None)
        self._end(remote_run, end)

    # -- the end of the flow run --------------------------------------------------------------------------

    def rescue(self, returned: State[Any]) -> None:
        """Move the values here that the flow returned, before the cluster goes away."""
        rescue(list(self._lazy), returned)
        self._lazy.clear()
