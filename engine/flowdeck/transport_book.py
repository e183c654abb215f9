"""The flow's side of task runs that execute elsewhere: one book for each flow run on a cluster.

Batches of events come in from the engine's channel, in any thread; one thread, the book's own, turns
them into record and ends the runs. Whatever else may not run at the same time as that (looking
after the engine's futures, ending runs whose worker is gone) is called on that thread too.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from flowdeck import transport_errors
from flowdeck.exceptions import MissingResult
from flowdeck.logging import ERROR, WARNING, get_logger, line
from flowdeck.states import LazyValue, State
from flowdeck.transitions import crash_message
from flowdeck.transport_entry import Entry, ended_state, executed_again, record_logs
from flowdeck.transport_events import ATOM, BLOCKED, CARRIED, END, PROCESS, REMOTE, decode
from flowdeck.transport_events import ERROR as ERROR_DATA
from flowdeck.transport_rescue import rescue
from flowdeck.transport_values import Carried, RemoteValue
from flowdeck_store import events

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun
    from flowdeck.transport import Pickling
    from flowdeck.transport_events import Item
    from flowdeck.transport_values import Reply
    from flowdeck_store.events import Event

#: Threads that wait for values and disks so that the book's own never does.
_HELPERS: Final = 4
#: Bytes of an exception up to which it comes to the flow's process without being asked for.
_LARGE_ERROR: Final = 64 * 1024 * 1024


class Book:
    """The task runs of one flow run that an engine has.

    Args:
        flow_run: whose.
        pickling: the engine's flavour.
        fetch: moves the reply of a handle here; blocks. May raise anything.
        on_tick: called on the book's thread every ``tick`` seconds.
        name: of the engine, for the thread.
        weigh: returns :func:`flowdeck.transport_sizes.weight` of the values of handles, found out
            where they are; takes them, the limit, and the seconds it has.
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
        tick: float = 0.25,
    ) -> None:
        self.flow_run = flow_run
        #: Those that have not ended, by number. Iterate over a copy: other threads add to it.
        self.entries: dict[int, Entry] = {}
        self._pickling = pickling
        self._fetch = fetch
        self._on_tick = on_tick
        self._weigh = weigh
        self._tick = tick
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._submitting = threading.Lock()
        #: The execution that counted of each run that has ended; ``None`` once others were told of.
        self._ended: dict[int, int | None] = {}
        self._lazy: weakref.WeakSet[RemoteValue] = weakref.WeakSet()
        self._helpers: Any = None
        self._thread = threading.Thread(target=self._main, name=f"flowdeck-{name}", daemon=True)

    # -- any thread -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout: float = 5.0) -> bool:
        """Deal with everything that was put, end the thread; ``False`` if that took too long."""
        self._queue.put(_CLOSE)
        self._thread.join(timeout)
        if self._helpers is not None:
            self._helpers.shutdown(wait=False, cancel_futures=True)
        return not self._thread.is_alive()

    def put(self, batch: bytes) -> None:
        """Take a batch from the channel."""
        self._queue.put(batch)

    def put_all(self, batches: list[bytes]) -> None:
        """Take many batches at once: the thread wakes only once."""
        self._queue.put(batches)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the book's thread, soon."""
        self._queue.put((function, args))

    def help(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on one of a few threads that may be kept waiting."""
        if self._helpers is None:
            from concurrent.futures import ThreadPoolExecutor

            self._helpers = ThreadPoolExecutor(_HELPERS, thread_name_prefix="flowdeck-helper")
        self._helpers.submit(self._safely, function, args)

    def add(
        self,
        run: TaskRun,
        waits: tuple[tuple[TaskRun, bool], ...] = (),
        *,
        keeps: bool = False,
        cache_key: str | None = None,
    ) -> Entry:
        """Enter a run that is about to be submitted to the engine."""
        entry = self.entries[run.no] = Entry(run, waits, keeps, cache_key)
        return entry

    def submitting(self) -> AbstractContextManager[Any]:
        """Around a submission and noting its handle: no run ends meanwhile."""
        return self._submitting

    def drop(self, entry: Entry) -> None:
        """Forget a run that somebody else ends."""
        if self.entries.get(entry.run.no) is entry:
            self._ended[entry.run.no] = entry.execution
            del self.entries[entry.run.no]

    def tracks(self, run: TaskRun) -> bool:
        """Say whether the engine can be told to wait for this run."""
        entry = self.entries.get(run.no)
        return entry is not None and entry.run is run and entry.handle is not None

    def handle_of(self, item: Any) -> Any:
        """Return the engine's handle whose value is that of a task run or state, or ``None``."""
        if isinstance(item, State):
            data = item.data
            return data.handle if isinstance(data, RemoteValue) and data.book is self else None
        entry = self.entries.get(item.no)
        return entry.handle if entry is not None and entry.run is item else None

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
        """Find out how many bytes values have that are on the cluster, up to a limit."""
        if self._weigh is not None and values:
            found = self._weigh([value.handle for value in values], limit, seconds)
            for value, size in zip(values, found, strict=True):
                value.size = size

    # -- the thread -------------------------------------------------------------------------------------

    def _main(self) -> None:
        following = time.monotonic() + self._tick
        while True:
            try:
                found = self._queue.get(timeout=max(following - time.monotonic(), 0.0))
            except Empty:
                found = None
            if found is _CLOSE:
                return
            if type(found) is bytes:
                self._safely(self._batch, (found,))
            elif type(found) is list:
                for batch in found:
                    self._safely(self._batch, (batch,))
            elif found is not None:
                self._safely(*found)
            if time.monotonic() >= following:
                self._safely(self._look, ())
                following = time.monotonic() + self._tick

    def _safely(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Nothing that goes wrong with one run may end the thread that serves all."""
        try:
            function(*args)
        except Exception:
            get_logger("transport").exception("An internal error while following task runs")

    def _batch(self, batch: bytes) -> None:
        process, items = decode(batch)
        quiet = process == PROCESS
        for item in items:
            self._safely(self._item, (item, quiet))

    def _item(self, item: Item, quiet: bool) -> None:
        entry = self.entries.get(item.no)
        if entry is None:
            self._stray(item, quiet)
            return
        end = entry.take(item, quiet)
        if end is not None:
            self._end(entry, end)

    def _look(self) -> None:
        for entry in list(self.entries.copy().values()):
            end = entry.give_up_gap()
            if end is not None:
                self._end(entry, end)
        self._on_tick()

    def _stray(self, item: Item, quiet: bool) -> None:
        """Events of a run that has ended here: it was given up and goes on, or the engine executes
        it again because a dependent needs its value, which was lost."""
        uid = self.flow_run.info.uid
        counted = self._ended.get(item.no)
        if counted == item.execution:
            record_logs(self.flow_run.recorder, item, quiet, f"{uid}.{item.no}")
        elif counted is not None:
            self._ended[item.no] = None
            self.flow_run.recorder.emit(executed_again(uid, item.no))

    # -- ending -----------------------------------------------------------------------------------------

    def _end(self, entry: Entry, end: Event) -> None:
        kind, data = end[5], end[6]
        if entry.handle is None:  # it ended before its submission returned
            with self._submitting:
                pass
        if kind == BLOCKED:
            self.drop(entry)
            entry.run.owner.submissions.block(entry.run, data)
            return
        if kind == ATOM:
            value = data
        elif kind == CARRIED:
            value = Carried(data)
        elif kind == ERROR_DATA:
            value = transport_errors.unpack(data)
        else:
            value = self._stays(entry, data)
        state = ended_state(entry, end, value)
        if entry.keeps and state.is_completed():
            self.help(self._keep, entry, state)
        elif kind == REMOTE and not state.is_completed() and (data or 0) <= _LARGE_ERROR:
            self.help(self._bring, entry, state)
        else:
            self._settle(entry, state)

    def _stays(self, entry: Entry, size: int | None) -> RemoteValue:
        value = RemoteValue(self, entry.handle, size)
        self._lazy.add(value)
        return value

    def _keep(self, entry: Entry, state: State[Any]) -> None:
        """Write the result to disk, on a helper's thread: it may have to be moved here first."""
        from flowdeck.task_run import _keep_result

        run, lazy = entry.run, state.data
        try:
            state.data = lazy.load() if isinstance(lazy, LazyValue) else lazy
            loaded = state.data
            _keep_result(run, state, entry.cache_key)
            if state.data is loaded:
                state.data = lazy
        except Exception as error:
            line(run, ERROR, f"The result is not kept: {type(error).__name__}: {error}")
            state.data = lazy
        self.call(self._settle, entry, state)

    def _bring(self, entry: Entry, state: State[Any]) -> None:
        """Move an exception here that was too large to ride along, on a helper's thread: it is what
        the flow fails with, also when the cluster is gone."""
        assert isinstance(state.data, RemoteValue)
        with contextlib.suppress(MissingResult):
            state.data.keep()
        self.call(self._settle, entry, state)

    def _settle(self, entry: Entry, state: State[Any]) -> None:
        """Record the last state, and let the flow go on."""
        run = entry.run
        self.drop(entry)
        rest = entry.rest()
        if run.is_final:  # ended from outside meanwhile, because it was to stop
            return
        run.enter(state)
        for event in rest:
            run.recorder.emit(event)
        run.owner.ended(run)

    def crash(self, entry: Entry, error: BaseException, message: str | None = None) -> None:
        """End a run that the engine has lost: NotReady if an upstream is why, else Crashed.

        To be called on the book's thread.
        """
        if self.entries.get(entry.run.no) is not entry:
            return
        self.drop(entry)
        entry.abandon()
        run = entry.run
        submissions = run.owner.submissions
        for upstream, allowed in entry.waits:
            state = upstream.state
            if upstream.is_final and not (state.is_completed() or (allowed and state.is_failed())):
                submissions.block(run, upstream.uid)
                return
        submissions.crash(run, message or crash_message(error), error)

    def recover(self, entry: Entry, reply: Reply) -> None:
        """End a run of which the engine has the reply, but whose last events never came.

        To be called on the book's thread.
        """
        if self.entries.get(entry.run.no) is not entry:
            return
        entry.abandon()
        kind: int = REMOTE
        data: Any = None
        if reply.blocked_by is not None:
            kind, data = BLOCKED, reply.blocked_by
        elif isinstance(reply.content, BaseException):
            kind, data = ERROR_DATA, transport_errors.pack(reply.content, self._pickling)
        line(entry.run, WARNING, "The last events of this run were lost on their way.")
        if kind == REMOTE:  # no result in the record would say that it returned None
            uid, no = self.flow_run.info.uid, entry.run.no
            self.flow_run.recorder.emit(
                events.result(uid, no, events.now_us(), "?", None, None, None)
            )
        self._end(entry, (END, reply.code, None, None, events.now_us(), kind, data, None))

    # -- the end of the flow run --------------------------------------------------------------------------

    def rescue(self, returned: State[Any]) -> None:
        """Move the values here that the flow returned, before the cluster goes away."""
        rescue(list(self._lazy), returned)
        self._lazy.clear()


_CLOSE: Final = object()
