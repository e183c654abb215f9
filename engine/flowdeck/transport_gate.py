"""What the flow's process does before an engine gets a task run: looking into the cache, and taking
slots of limited tags. Both live in the store, which workers never see."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from flowdeck import context, waiting
from flowdeck.endings import report
from flowdeck.logging import DEBUG, line
from flowdeck.states import Cancelled, Pending, State
from flowdeck.steps import run_hook
from flowdeck.stopping import end_stopped
from flowdeck.task_run import _cache_key, _conclude, _from_cache, _prepare
from flowdeck.transitions import state_of_exception

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.runs import TaskRun
    from flowdeck.transport_book import Book


class Gate:
    """Holds task runs back until the engine may have them.

    Args:
        book: of the flow run.
        send: hands a run to the engine, with the key under which its result may be re-used. Called
            on the thread of the submission or on the book's; must not raise.
    """

    def __init__(self, book: Book, send: Callable[[TaskRun, str | None], None]) -> None:
        self._book = book
        self._send = send
        self._waiting: deque[tuple[TaskRun, str | None]] = deque()
        self._looked_up: set[TaskRun] = set()
        self._told: set[TaskRun] = set()

    def submit(self, run: TaskRun) -> None:
        """Let a run through, now or later. Does not wait."""
        if run.task.cache_key_fn is not None:
            self._looked_up.add(run)
            self._book.help(self._look_up, run)
        else:
            self._go_on(run, None)

    def take_back(self) -> list[TaskRun]:
        """Return the runs that are held back, for somebody else to end them."""
        held = list(self._looked_up)
        self._looked_up.clear()
        while self._waiting:
            held.append(self._waiting.popleft()[0])
        return held

    def remove(self, run: TaskRun) -> bool:
        """Stop holding a run back, for somebody else to end it; ``False`` if it is not held."""
        if run in self._looked_up:
            self._looked_up.discard(run)
            return True
        for pair in list(self._waiting):
            if pair[0] is run:
                self._waiting.remove(pair)
                return True
        return False

    # -- the cache --------------------------------------------------------------------------------------

    def _look_up(self, run: TaskRun) -> None:
        """On a helper's thread: the key may be computed from values that are on the cluster."""
        assert run.context is not None
        try:
            key, cached = run.context.run(self._cached, run)
        except Exception as error:
            if self._claim(run):
                report(run, error)
                self._finish(run, state_of_exception(error, "Task"), error)
            return
        if not self._claim(run):
            return
        if run.cancel_requested:
            end_stopped(run, "before it started")
        elif cached is not None:
            self._finish(run, cached, None)
        else:
            self._book.call(self._go_on, run, key)

    def _claim(self, run: TaskRun) -> bool:
        """Say whether the run is still this gate's to deal with."""
        try:
            self._looked_up.remove(run)
        except KeyError:
            return False
        return True

    @staticmethod
    def _cached(run: TaskRun) -> tuple[str | None, State[Any] | None]:
        token = context.current_task_run.set(run)
        submitted = run.parameters
        try:
            _prepare(run)
            assert run.task.cache_key_fn is not None
            key = _cache_key(run, run.task.cache_key_fn)
            return key, _from_cache(run, key)
        finally:
            # With its futures, not their values: those are on the cluster already.
            run.parameters = submitted
            context.current_task_run.reset(token)

    @staticmethod
    def _finish(run: TaskRun, state: State[Any], error: BaseException | None) -> None:
        """Conclude a run here that no engine will see."""
        steps = _conclude(run, state, error)
        outcome: Any = None
        try:
            while True:
                outcome = run_hook(steps.send(outcome))  # type: ignore[arg-type]
        except StopIteration:
            pass
        finally:
            run.owner.ended(run)

    # -- slots --------------------------------------------------------------------------------------------

    def _go_on(self, run: TaskRun, key: str | None) -> None:
        if run.tags and run.recorder.has_limits():
            self._waiting.append((run, key))
            self._book.call(self.tick)
        else:
            self._send(run, key)

    def tick(self) -> None:
        """On the book's thread: let those through for which there are slots now, in order."""
        for _ in range(len(self._waiting)):
            try:
                run, key = self._waiting.popleft()
            except IndexError:  # taken back meanwhile
                return
            if run.is_final:
                continue
            try:
                full = run.recorder.acquire_slots(run.tags, run.info.uid, run.no)
            except Exception as error:  # a limit of 0: it would wait for ever
                self._finish(run, Cancelled(message=str(error)), None)
                continue
            if full:
                self._tell(run, full)
                self._waiting.append((run, key))
                continue
            if waiting.on_end(run, self._release):
                self._send(run, key)
            else:
                self._release(run)

    def _tell(self, run: TaskRun, full: tuple[str, ...]) -> None:
        if run in self._told:
            return
        self._told.add(run)
        names = ", ".join(repr(tag) for tag in full)
        run.enter(Pending(message=f"Waiting for a free slot of tag {names}."))
        line(run, DEBUG, f"Waiting for a concurrency slot of tag {names}")

    def _release(self, run: TaskRun) -> None:
        self._told.discard(run)
        run.recorder.release_slots(run.info.uid, run.no)
        if self._waiting:
            self._book.call(self.tick)
