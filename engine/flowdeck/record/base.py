"""What flow runs and task runs have in common, as recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import MissingResult
from flowdeck.record.artifacts import RecordedArtifact
from flowdeck.record.asked import RecordedQuestion
from flowdeck.record.pieces import RecordedFailure, RecordedState, time_of
from flowdeck_store.explain.figures import figures_of
from flowdeck_store.read.causes import plain
from flowdeck_store.states import StateType
from flowdeck_store.times import at

if TYPE_CHECKING:
    from datetime import datetime

    from flowdeck.record.access import Access
    from flowdeck_store.read.records import FlowRunRecord, ResultRecord, TaskRunRecord


class Recorded:
    """What flow runs and task runs have in common."""

    _access: Access
    _record: FlowRunRecord | TaskRunRecord

    @property
    def _place(self) -> tuple[int, int]:
        """Number of the flow run, number of the task run in it."""
        raise NotImplementedError  # pragma: no cover - both subclasses define it

    @property
    def uid(self) -> str:
        """Unique in all records."""
        return self._record.uid

    @property
    def name(self) -> str:
        """The run's own name."""
        return self._record.name

    @property
    def state(self) -> str:
        """The name of the state: ``Completed``, ``TimedOut``, ``Cached``..."""
        return self._record.state

    @property
    def state_type(self) -> StateType:
        """``StateType.COMPLETED``..."""
        return self._record.state_type

    @property
    def message(self) -> str:
        """What the state says, without what every message begins with."""
        return plain(self._record.message)

    @property
    def created(self) -> datetime:
        """When the run came into being."""
        return time_of(self._record.created_us)

    @property
    def started(self) -> datetime | None:
        """When its function began first; ``None``: it did not."""
        return at(self._record.started_us)

    @property
    def ended(self) -> datetime | None:
        """When it ended; ``None``: it goes on."""
        return at(self._record.ended_us)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; ``None`` while it goes on or where it never began."""
        return self._record.duration

    @property
    def failure(self) -> RecordedFailure | None:
        """The exception of the last attempt that raised one."""
        with self._access as reader:
            found = reader.last_failure(*self._place)
        return None if found is None else RecordedFailure(found)

    @property
    def states(self) -> list[RecordedState]:
        """All states that the run was in, oldest first."""
        with self._access as reader:
            return [RecordedState(state) for state in reader.states(*self._place)]

    @property
    def artifacts(self) -> list[RecordedArtifact]:
        """What it wanted shown, oldest first; of a flow run what its tasks wanted, too."""
        run_id, no = self._place
        with self._access as reader:
            found = reader.shown_artifacts(run_id, no or None)
        return [RecordedArtifact(self._access, artifact) for artifact in found]

    @property
    def questions(self) -> list[RecordedQuestion]:
        """What it asked people, open or not, oldest first; of a flow run what its tasks asked, too."""
        run_id, no = self._place
        with self._access as reader:
            found = reader.questions(run_id, no or None)
        return [RecordedQuestion(self._access, question) for question in found]

    def _repr_html_(self) -> str:
        from flowdeck.values import html

        row = self.to_dict()
        head = f"{html.badge(self.state, self.state_type.value)} {html.escaped(self.name)}"
        left = {"name", "state", "created", "cause"}
        facts = [(name, value) for name, value in row.items() if name not in left]
        failure = row.get("cause") or (self.failure.message if self.failure is not None else None)
        return html.facts(head, [*facts, ("failed of", failure), ("result", self.result_preview)])

    def to_dict(self) -> dict[str, Any]:
        """Return it as columns."""
        raise NotImplementedError  # pragma: no cover - both subclasses define it

    def result(self) -> Any:
        """Return what the run returned.

        A kept value is loaded, with the serializer that it was kept with. Pickles run code of their
        makers, so those that an imported archive brought are never loaded. Numbers, short texts and
        the like are in the record itself.

        Raises:
            MissingResult: it did not complete, or the value was not kept: say
                ``persist_result=True``, or set ``persist_results``; or it is a pickle of an imported
                archive; or the run was deleted.
        """
        if self.state_type is not StateType.COMPLETED:
            raise MissingResult(f"{self.name!r} is {self.state}: it has no result.")
        from flowdeck.reuse.earlier_run import value_of
        from flowdeck.states import LazyValue

        found = self._result()
        if found is None and self._is_gone():  # only None leaves no trace
            raise MissingResult(f"{self.name!r} is not in the record any more: it was deleted.")
        value = value_of(found, self._access.results)
        return value.load() if isinstance(value, LazyValue) else value

    @property
    def result_preview(self) -> str | None:
        """A short text of what the run returned; ``None``: nothing, or it did not return."""
        found = self._result()
        return None if found is None else found.preview

    @property
    def figures(self) -> dict[str, float]:
        """The numbers that it left: those in what it returned (as far as the record has all of its
        text), and those that it, or a task run of it, made an artifact of, by key."""
        with self._access as reader:
            return figures_of(reader, *self._place)

    def _result(self) -> ResultRecord | None:
        with self._access as reader:
            return reader.result(*self._place)

    def _is_gone(self) -> bool:
        """Say whether the run was deleted; another may have its number since."""
        run_id, no = self._place
        with self._access as reader:
            found = reader.task(run_id, no) if no else reader.run(run_id)
        return found is None or found.uid != self.uid

    def result_or_preview(self) -> Any:
        """Return what the run returned, its short text where that was not kept."""
        try:
            return self.result()
        except MissingResult:
            return self.result_preview
