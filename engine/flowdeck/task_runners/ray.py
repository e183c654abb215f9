"""Tasks on Ray: a temporary local instance, an existing cluster, or one behind ``ray://``."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from flowdeck.stopping import end_stopped
from flowdeck.task_runners import ray_connection, ray_mailbox, ray_prints, ray_worker
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType
from flowdeck.task_runners.ray_client_watch import ClientWatch
from flowdeck.task_runners.ray_errors import cause_of
from flowdeck.task_runners.ray_options import options_in, remote_options
from flowdeck.task_runners.ray_watch import Watch
from flowdeck.transitions import crash_message
from flowdeck.transport_book import Book
from flowdeck.transport_gate import Gate
from flowdeck.transport_payload import BlockedError, Packer
from flowdeck.transport_values import Reply, pickling_of

if TYPE_CHECKING:
    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun
    from flowdeck.transport_entry import Entry
    from flowdeck.transport_payload import Payload

__all__ = ["RayTaskRunner", "remote_options"]

#: Seconds that a function gets to stop before its worker process is ended.
_GRACE: Final = 1.0
#: Seconds for which a thread waits inside Ray without a look around.
_SLICE: Final = 1.0
#: Bytes of a task's code from which on it is put on the cluster once instead of sent each time.
_LARGE: Final = 64 * 1024


class RayTaskRunner(BaseTaskRunner):
    """Runs tasks in Ray's worker processes.

    Values stay on the cluster until somebody asks for them, and go from task to task there.
    States, logs and prints come back while the tasks run.

    Args:
        address: of a running Ray: ``ray://HOST:10001`` (its client server), ``HOST:6379`` (its
            head node, from a machine of the cluster), or ``auto`` (the one on this machine).
            Default: a temporary local instance, which ends with the flow run; if the process is
            connected to Ray already, that is used and left running.
        init_kwargs: further arguments for ``ray.init``, for example ``{"num_cpus": 4}``.

    Raises:
        ValueError: ``init_kwargs`` has an address.
    """

    tracks_dependencies: ClassVar[bool] = True

    def __init__(
        self, address: str | None = None, init_kwargs: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        if init_kwargs and "address" in init_kwargs:
            raise ValueError(
                "Give the address as RayTaskRunner(address=...), not inside init_kwargs."
            )
        self.address = address
        self.init_kwargs = {"namespace": "flowdeck", **(init_kwargs or {})}
        self._session: _Session | None = None

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.PARALLEL

    def _start(self, flow_run: FlowRun) -> None:
        connection = ray_connection.attach(self.address, self.init_kwargs, self.logger)
        try:
            self._session = _Session(flow_run, connection)
        except BaseException:
            connection.release()
            raise

    def _stop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _submit(self, run: TaskRun) -> None:
        assert self._session is not None
        self._session.gate.submit(run)

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Ray itself can wait for this upstream."""
        session = self._session
        return session is not None and super().tracks(run) and session.book.tracks(run)

    def cancel(self, run: TaskRun) -> None:
        """Drop the run if it waits for a worker; else interrupt its function, and end its worker
        if that does not help."""
        super().cancel(run)
        if self._session is not None:
            self._session.cancel(run)

    def drop_queued(self) -> list[TaskRun]:
        session = self._session
        return [] if session is None else session.drop_queued()


class _Session:
    """One flow run on one connection."""

    def __init__(self, flow_run: FlowRun, connection: ray_connection.Connection) -> None:
        self._flow_run = flow_run
        self._connection = connection
        self._is_client = connection.is_client
        self._put: dict[int, tuple[bytes, Any]] = {}
        self._stopping: dict[int, tuple[float, Entry]] = {}
        uid = flow_run.info.uid
        self._where = ray_worker.address(uid, connection.mailbox.name, self._is_client)
        pickling = pickling_of(ray_worker.PICKLING)
        self.book = Book(
            flow_run, pickling=pickling, fetch=self._fetch, on_tick=self._tick, name="ray"
        )
        self._packer = Packer(pickling, self.book.handle_of)
        self.gate = Gate(self.book, self._send)
        self._watch = (ClientWatch if self._is_client else Watch)(
            self._results,
            self._failed,
            lambda entry: entry.run.is_final,
            connection.mailbox.open,
        )
        self.book.start()
        connection.mailbox.subscribe(uid, self._letter)
        if self._is_client:  # through a client server everything comes by the mailbox
            connection.mailbox.open()
        connection.listen(self._lost)

    # -- submitting ---------------------------------------------------------------------------------

    def _send(self, run: TaskRun, cache_key: str | None) -> None:
        """Hand a run to Ray; what is wrong with it ends it, and nothing but it."""
        submissions = self._flow_run.submissions
        try:
            keeps = cache_key is not None or run.task.keeps_result(run.info)
            payload = self._packer.pack(run, keeps=keeps)
            if self._connection.lost is not None:
                raise self._connection.lost
            call = self._call(payload)
            function = self._function(run)
        except BlockedError as blocked:
            submissions.block(run, blocked.uid)
            return
        except Exception as error:
            submissions.crash(run, crash_message(error), error)
            return
        entry = self.book.add(run, payload.waits, keeps=keeps, cache_key=cache_key)
        try:
            with self.book.submitting():
                refs = function.remote(*call)
                entry.handle, entry.data = (refs, refs) if self._is_client else refs
        except Exception as error:
            self.book.drop(entry)
            submissions.crash(run, crash_message(error), error)
            return
        self._watch.add(entry.data, entry)

    def _function(self, run: TaskRun) -> Any:
        """Return the remote function with the options that were in force at the call.

        It has the task's name, not the run's: Ray's pages group by it.
        """
        return self._connection.function({"name": run.task.name, **options_in(run.context)})

    def _call(self, payload: Payload) -> tuple[Any, ...]:
        """Return the arguments of the remote function: large code goes to the cluster once."""
        code, head = payload.code, payload.head
        if len(code) < _LARGE:
            return ray_worker.packed(self._where, code, head), *payload.inputs
        known = self._put.get(id(code))
        if known is None:  # the bytes are kept: their id must not be given to others
            import ray

            known = self._put[id(code)] = code, ray.put(code)
        return ray_worker.packed(self._where, None, head), known[1], *payload.inputs

    def _fetch(self, handle: Any) -> Reply:
        import ray

        while True:
            if self._connection.lost is not None:
                raise self._connection.lost
            try:
                # In slices: nobody may be inside Ray for long when it is shut down.
                found = ray.get(handle, timeout=None if self._is_client else _SLICE)
                return Reply.of(found)
            except ray.exceptions.GetTimeoutError:
                continue

    # -- what comes home ----------------------------------------------------------------------------

    def _letter(self, kind: int, content: Any, about: Any) -> None:
        """Take a letter from the mailbox."""
        if kind == ray_mailbox.EVENTS:
            self.book.put(content)
        elif kind == ray_mailbox.TEXT:
            ray_prints.write(content, to_stderr=about)
        else:
            self.book.put(self._bare(content))

    def _results(self, pairs: list[tuple[Entry, Any]]) -> None:
        """Take what Ray has of tasks that ended: tails; through a client server replies whose
        tails should have come by the mailbox long ago."""
        if self._is_client:
            for entry, reply in pairs:
                self.book.call(self.book.recover, entry, Reply.of(reply))
        else:
            self.book.put_all([self._bare(tail) for _, tail in pairs])

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

    def cancel(self, run: TaskRun) -> None:
        """Ask Ray to stop a run, kindly at first."""
        if self.gate.remove(run):
            end_stopped(run, "before it started")
            return
        entry = self.book.entries.get(run.no)
        if entry is None or entry.data is None:
            return
        self._stopping[run.no] = time.monotonic() + _GRACE, entry
        if self._is_client:  # each is a message and its answer
            self.book.help(self._cancel, entry, False)
        else:
            self._cancel(entry, False)

    def _cancel(self, entry: Entry, force: bool) -> None:
        if self._connection.lost is not None or entry.run.is_final:
            return
        import ray

        try:
            ray.cancel(entry.data, force=force)
        except Exception:
            pass  # it has ended, or Ray is gone

    def _tick(self) -> None:
        self.gate.tick()
        now = time.monotonic()
        for no, (deadline, entry) in self._stopping.copy().items():
            if entry.run.is_final:
                self._stopping.pop(no, None)
            elif now > deadline:
                self._stopping.pop(no, None)
                self.book.help(self._cancel, entry, True)

    def drop_queued(self) -> list[TaskRun]:
        """Take back what is not with Ray yet."""
        return self.gate.take_back()

    def close(self) -> None:
        """Take home what the flow returned, end what was given up, disconnect."""
        connection = self._connection
        connection.forget(self._lost)
        try:
            if connection.lost is None:
                self._end_what_was_given_up()
                connection.mailbox.unsubscribe(self._flow_run.info.uid)
            self.book.rescue(self._flow_run.state)
            self._watch.stop()
            self.book.close(5.0)
        finally:
            connection.release()

    def _end_what_was_given_up(self) -> None:
        import ray

        if self._connection.ends_with_me:
            return  # Ray ends it with the connection
        for entry in self.book.entries.copy().values():
            if entry.data is not None:
                with contextlib.suppress(Exception):
                    ray.cancel(entry.data, force=True)
