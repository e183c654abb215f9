"""One flow run on a connection to Ray, from its first task to the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck.stopping import end_stopped
from flowdeck.task_runners import ray_mailbox, ray_prints, ray_worker
from flowdeck.task_runners.ray_direct import DirectCalls
from flowdeck.task_runners.ray_errors import cause_of
from flowdeck.task_runners.ray_far import FarCalls
from flowdeck.task_runners.ray_options import options_in
from flowdeck.transitions import crash_message
from flowdeck.transport_book import Book
from flowdeck.transport_gate import Gate
from flowdeck.transport_payload import BlockedError, Packer
from flowdeck.transport_values import Reply, pickling_of

if TYPE_CHECKING:
    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun
    from flowdeck.task_runners.ray_connection import Connection
    from flowdeck.transport_entry import Entry

#: Seconds that a function gets to stop before its worker process is ended.
_GRACE: Final = 1.0


class Session:
    """What a started :class:`~flowdeck.task_runners.ray.RayTaskRunner` has.

    Args:
        flow_run: whose tasks.
        connection: to Ray; released by :meth:`close`.
    """

    def __init__(self, flow_run: FlowRun, connection: Connection) -> None:
        self._flow_run = flow_run
        self._connection = connection
        self._stopping: dict[int, tuple[float, Entry]] = {}
        uid = flow_run.info.uid
        pickling = pickling_of(ray_worker.PICKLING)
        self.book = Book(
            flow_run,
            pickling=pickling,
            fetch=self._fetch,
            on_tick=self._tick,
            name="ray",
            weigh=self._weigh,
        )
        self._packer = Packer(pickling, self.book.handle_of)
        self._gate = Gate(self.book, self._send)
        kind = FarCalls if connection.is_client else DirectCalls
        self._calls = kind(uid, connection, self.book, self._ended, self._failed)
        self.book.start()
        connection.mailbox.subscribe(uid, self._letter)
        connection.listen(self._lost)

    # -- submitting ---------------------------------------------------------------------------------

    def submit(self, run: TaskRun) -> None:
        """Hand a run to Ray, or to what must happen before."""
        self._gate.submit(run)

    def _send(self, run: TaskRun, cache_key: str | None) -> None:
        """Hand a run to Ray; what is wrong with it ends it, and nothing but it."""
        submissions = self._flow_run.submissions
        try:
            keeps = cache_key is not None or run.task.keeps_result(run.info)
            payload = self._packer.pack(run, keeps=keeps)
            if self._connection.lost is not None:
                raise self._connection.lost
        except BlockedError as blocked:
            submissions.block(run, blocked.uid)
            return
        except Exception as error:
            submissions.crash(run, crash_message(error), error)
            return
        entry = self.book.add(run, payload.waits, keeps=keeps, cache_key=cache_key)
        try:
            # The task's name, not the run's: Ray's pages group by it.
            self._calls.submit(entry, payload, {"name": run.task.name, **options_in(run.context)})
        except Exception as error:
            self.book.drop(entry)
            submissions.crash(run, crash_message(error), error)

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Ray itself can wait for this upstream."""
        return self.book.tracks(run)

    def _fetch(self, handle: Any) -> Reply:
        if self._connection.lost is not None:
            raise self._connection.lost
        return Reply.of(self._calls.fetch(handle))

    def _weigh(self, handles: list[Any], limit: int, seconds: float) -> list[int | None]:
        return self._calls.weigh(handles, limit, seconds)

    # -- what comes home ----------------------------------------------------------------------------

    def _letter(self, kind: int, content: Any, about: Any) -> None:
        """Take a letter from the mailbox."""
        if kind == ray_mailbox.EVENTS:
            self.book.put(content)
        elif kind == ray_mailbox.TEXT:
            ray_prints.write(content, to_stderr=about)
        else:
            self._calls.letter(kind, content, about)

    def _ended(self, tails: list[bytes]) -> None:
        self.book.put_all([self._bare(tail) for tail in tails])

    @staticmethod
    def _bare(content: bytes) -> bytes:
        """Return a tail; texts that came with it are written."""
        texts, tail = ray_worker.unpacked(content)
        for text, to_stderr in texts:
            ray_prints.write(text, to_stderr=to_stderr)
        return tail

    # -- ends that are not the task's ----------------------------------------------------------------

    def _failed(self, entry: Entry, error: BaseException) -> None:
        """Ray ended a task: its worker died, its input is lost, it was cancelled."""
        self.book.call(self._end, entry, cause_of(error))

    def _end(self, entry: Entry, error: BaseException) -> None:
        run = entry.run
        if run.cancel_requested:
            end_stopped(run, "while it was running" if entry.started else "before it started")
            self.book.drop(entry)
        else:
            self.book.crash(entry, error)

    def _lost(self, error: ConnectionError) -> None:
        """Ray is gone, and everything that it had."""
        for entry in self.book.entries.copy().values():
            self.book.call(self._end, entry, error)

    # -- stopping ---------------------------------------------------------------------------------------

    def cancel(self, run: TaskRun) -> None:
        """Ask Ray to stop a run, kindly at first."""
        waiting = self._calls.remove(run)
        if waiting is not None:
            self.book.drop(waiting)
        if waiting is not None or self._gate.remove(run):
            end_stopped(run, "before it started")
            return
        entry = self.book.entries.get(run.no)
        if entry is None or entry.data is None:
            return
        self._stopping[run.no] = time.monotonic() + _GRACE, entry
        self._cancel([entry], force=False)

    def _cancel(self, entries: list[Entry], *, force: bool) -> None:
        if self._connection.lost is None:
            self._calls.cancel([entry for entry in entries if not entry.run.is_final], force=force)

    def _tick(self) -> None:
        self._gate.tick()
        self._calls.tick()
        now = time.monotonic()
        overdue = []
        for no, (deadline, entry) in self._stopping.copy().items():
            if entry.run.is_final or now > deadline:
                self._stopping.pop(no, None)
            if now > deadline:
                overdue.append(entry)
        if overdue:
            self.book.help(lambda: self._cancel(overdue, force=True))

    def drop_queued(self) -> list[TaskRun]:
        """Take back what is not with Ray yet."""
        held = self._gate.take_back()
        for entry in self._calls.take_back():
            self.book.drop(entry)
            held.append(entry.run)
        return held

    # -- the end ------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take home what the flow returned, end what was given up, disconnect."""
        connection = self._connection
        connection.forget(self._lost)
        try:
            if connection.lost is None:
                if not connection.ends_with_me:  # else Ray ends it with the connection
                    self._calls.cancel(self.book.entries.copy().values(), force=True)
                connection.mailbox.unsubscribe(self._flow_run.info.uid)
            self.book.rescue(self._flow_run.state)
            if connection.lost is None and not connection.ends_with_me:
                self._calls.leave()
            self._calls.close()
            self.book.close(5.0)
        finally:
            connection.release()
