"""One flow run on a connection to Ray, from its first task to the end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from flowdeck.remote import prints
from flowdeck.remote.admission import BEFORE, Admissions
from flowdeck.remote.payload import Packer
from flowdeck.remote.remote_runs import RemoteRuns
from flowdeck.remote.stuck import StuckRuns
from flowdeck.remote.values import Reply, pickling_of
from flowdeck.runs.stopping import end_stopped
from flowdeck.states.transitions import crash_message
from flowdeck.stopping.answers import token_of
from flowdeck.task_runners._ray import event_channel, stuck, worker
from flowdeck.task_runners._ray.calls import TaskCalls, cause_of
from flowdeck.task_runners._ray.client_calls import ClientCalls
from flowdeck.task_runners._ray.direct_calls import DirectCalls
from flowdeck.task_runners._ray.options import options_of
from flowdeck_store import clock
from flowdeck_store.kills import KillCount, memory_limit, said

if TYPE_CHECKING:
    from flowdeck.remote.parts import Part
    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.task_runners._ray.connection import Connection

#: Seconds that a function gets to stop before its worker process is ended.
_GRACE: Final = 1.0


class RayRun:
    """What a started :class:`~flowdeck.task_runners.ray.RayTaskRunner` has.

    Args:
        flow_run: whose tasks.
        connection: to Ray; released by :meth:`close`.
    """

    def __init__(self, flow_run: FlowRun, connection: Connection) -> None:
        self._flow_run = flow_run
        self._connection = connection
        self._kills = KillCount()
        self._stopping: dict[int, tuple[float, RemoteRun]] = {}
        uid = flow_run.info.uid
        pickling = pickling_of(worker.PICKLING)
        self.runs = RemoteRuns(
            flow_run,
            pickling=pickling,
            fetch=self._fetch,
            on_tick=self._tick,
            name="ray",
            weigh=self._weigh,
        )
        self._packer = Packer(pickling, self.runs.handle_of, self._put_part)
        self._admissions = Admissions(self.runs, self._send)
        kind = ClientCalls if connection.is_client else DirectCalls
        self._calls: TaskCalls = kind(uid, connection, self.runs, self._receive_tails, self._failed)
        self.stuck = StuckRuns(flow_run, self.runs, stuck.find)
        self.runs.start()
        connection.channel.subscribe(uid, self._receive)
        connection.on_loss(self._end_all)

    # -- submitting ---------------------------------------------------------------------------------

    def submit(self, run: TaskRun) -> None:
        """Hand a run to Ray, or to what must happen before."""
        self._admissions.submit(run)

    def _send(self, run: TaskRun) -> None:
        payload = self._packer.pack(run)
        if self._connection.lost is not None:
            raise self._connection.lost
        remote_run = self.runs.add(run, payload)
        try:
            # The task's name, not the run's: Ray's pages group by it.
            self._calls.submit(remote_run, payload, {"name": run.task.name, **options_of(run)})
        except Exception:
            self.runs.drop(remote_run)
            raise

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Ray itself can wait for this upstream."""
        return self.runs.tracks(run)

    def _put_part(self, part: Part) -> Any:
        """Put an argument on the cluster that several task runs have in common."""
        if self._connection.lost is not None:
            raise self._connection.lost
        return self._calls.put_part(part)

    def _fetch(self, handle: Any) -> Reply:
        if self._connection.lost is not None:
            raise self._connection.lost
        return Reply.of(self._calls.fetch(handle))

    def _weigh(self, handles: list[Any], limit: int, seconds: float) -> list[int | None]:
        return self._calls.weigh(handles, limit, seconds)

    # -- what comes home ----------------------------------------------------------------------------

    def _receive(self, kind: int, content: Any, about: Any) -> None:
        """Take a message from the event channel."""
        if kind == event_channel.EVENTS:
            self.runs.receive(content)
        elif kind == event_channel.TEXT:
            prints.write(content, to_stderr=about)
        else:
            self._calls.receive(kind, content, about)

    def _receive_tails(self, tails: list[bytes]) -> None:
        self.runs.receive_all([self._bare(tail) for tail in tails])

    @staticmethod
    def _bare(content: bytes) -> bytes:
        """Return a tail; texts that came with it are written."""
        texts, tail = worker.unpacked(content)
        for text, to_stderr in texts:
            prints.write(text, to_stderr=to_stderr)
        return tail

    def pass_answer(self, answer: bytes) -> None:
        """Leave an answer with the actor, where the worker that asks looks for it."""
        with contextlib.suppress(Exception):  # the connection is lost, and the run with it
            self._connection.channel.actor.leave_answer.remote(token_of(answer), answer)

    # -- ends that are not the task's ----------------------------------------------------------------

    def _failed(self, remote_run: RemoteRun, error: BaseException) -> None:
        """Ray ended a task: its worker died, its input is lost, it was cancelled."""
        self.runs.call_soon(self._end, remote_run, cause_of(error))

    def _of_memory(self, remote_run: RemoteRun, error: BaseException) -> str | None:
        """Return what to say of a worker that died, with what is known of its memory; ``None`` if it is
        not that."""
        import ray.exceptions

        memory = self.runs.memory_of(remote_run)
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            why = str(error).strip().partition("\n")[0]
            return f"The worker that executed the task was killed.{said(memory, None, certain=True, who='Ray')} {why}"
        if not isinstance(error, ray.exceptions.WorkerCrashedError):
            return None
        is_here = self._connection.address is None  # on this machine
        found = said(
            memory, memory_limit() if is_here else None, certain=is_here and self._kills.take()
        )
        return f"{crash_message(error)}{found}" if found else None

    def _end(self, remote_run: RemoteRun, error: BaseException) -> None:
        run = remote_run.run
        if run.cancel_requested:
            end_stopped(run, "while it was running" if remote_run.started else BEFORE)
            self.runs.drop(remote_run)
        else:
            self.runs.crash(remote_run, error, self._of_memory(remote_run, error))

    def _end_all(self, error: ConnectionError) -> None:
        """Ray is gone, and everything that it had."""
        for remote_run in self.runs.open.copy().values():
            self.runs.call_soon(self._end, remote_run, error)

    # -- stopping ---------------------------------------------------------------------------------------

    def cancel(self, run: TaskRun) -> None:
        """Ask Ray to stop a run, kindly at first."""
        waiting = self._calls.remove(run)
        if waiting is not None:
            self.runs.drop(waiting)
            end_stopped(run, BEFORE)
            return
        if self._admissions.stop(run):
            return
        remote_run = self.runs.open.get(run.no)
        if remote_run is None or remote_run.data is None:
            return
        self._stopping[run.no] = clock.monotonic() + _GRACE, remote_run
        self._cancel([remote_run], force=False)

    def _cancel(self, remote_runs: list[RemoteRun], *, force: bool) -> None:
        if self._connection.lost is None:
            self._calls.cancel(
                [remote_run for remote_run in remote_runs if not remote_run.run.is_final],
                force=force,
            )

    def _tick(self) -> None:
        self._packer.shares.tick()
        self._calls.tick()
        if self._connection.lost is None:
            self.stuck.tick()
        now = clock.monotonic()
        overdue = []
        for no, (deadline, remote_run) in self._stopping.copy().items():
            if remote_run.run.is_final or now > deadline:
                self._stopping.pop(no, None)
            if now > deadline:
                overdue.append(remote_run)
        if overdue:
            self.runs.call_on_helper(lambda: self._cancel(overdue, force=True))

    def drop_queued(self) -> list[TaskRun]:
        """Take back what is not with Ray yet."""
        held = self._admissions.take_back()
        for remote_run in self._calls.take_back():
            self.runs.drop(remote_run)
            held.append(remote_run.run)
        return held

    # -- the end ------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take home what the flow returned, end what was given up, disconnect."""
        connection = self._connection
        connection.forget(self._end_all)
        try:
            if connection.lost is None:
                if not connection.ends_with_me:  # else Ray ends it with the connection
                    self._calls.cancel(self.runs.open.copy().values(), force=True)
                connection.channel.unsubscribe(self._flow_run.info.uid)
            self.runs.rescue(self._flow_run.state)
            if connection.lost is None and not connection.ends_with_me:
                self._calls.leave()
            self._calls.close()
            self.runs.close(5.0)
        finally:
            connection.release()
