"""What the record says of a run, as spans of OpenTelemetry.

A span of a task run lies below that of its flow run, and has links to those that it took something
from. Its states are events in it, and why it failed is the status.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from flowdeck.tracing.identity import SpanName, span_number
from flowdeck.version import __version__
from flowdeck_store.safe import one_line
from flowdeck_store.states import COMPLETED, is_final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.resources import Resource

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, StateRecord, TaskRunRecord

_SCOPE: Final = InstrumentationScope("flowdeck", __version__)
#: Task runs, and states, that are read at once.
_PAGE: Final = 1_000
#: Links of one span, and characters of a text.
_LINKS: Final = 128
_TEXT: Final = 1_000


class Spans:
    """Makes the spans of the runs of one trace.

    Args:
        reader: of the record.
        trace_id: of the trace.
        resource: what executes, for the exporter.
    """

    def __init__(self, reader: Reader, trace_id: int, resource: Resource) -> None:
        self._reader, self._trace, self._resource = reader, trace_id, resource

    def of_run(self, run: FlowRunRecord, parent: SpanName | None) -> Iterator[ReadableSpan]:
        """Yield the spans of a flow run, its task runs, and the subflow runs below it.

        Args:
            run: as it was read after its end.
            parent: the span that it lies below.
        """
        own = SpanName(self._trace, span_number(run.uid))
        upstreams = self._reader.upstream_numbers(run.id)
        yield self._span(
            own, parent, f"flow {run.flow}", run, self._reader.states(run.id),
            {
                "flowdeck.run": run.id, "flowdeck.run_name": run.name, "flowdeck.uid": run.uid,
                "flowdeck.flow": run.flow, "flowdeck.runner": run.runner or "",
                "flowdeck.tags": list(run.tags), "flowdeck.attempt": run.attempt,
            },
        )  # fmt: skip
        histories = _Histories(self._states(run.id))
        after: int | None = None
        while True:
            page = self._page(run.id, after)
            for task in page:
                states = histories.of(task.no)
                yield self._of_task(run, own, task, states, upstreams.get(task.no, ()))
            if len(page) < _PAGE:
                break
            after = page[-1].no
        for child in self._reader.children(run.id):
            number = child.parent_task
            stand = own if number is None else self._stand_in(run, number)
            yield from self.of_run(child, stand)

    def _stand_in(self, run: FlowRunRecord, task_run: int) -> SpanName:
        from flowdeck_store.ids import number_of

        return SpanName(self._trace, span_number(run.uid, number_of(task_run)))

    def _page(self, run_id: int, after: int | None) -> list[TaskRunRecord]:
        first = (after or 0) + 1
        return self._reader.tasks_by_nos(run_id, range(first, first + _PAGE))

    def _states(self, run_id: int) -> Iterator[StateRecord]:
        """Yield the states of all task runs, in the order of their numbers."""
        after = (0, 1 << 62)
        while page := self._reader.states_page(run_id, after=after, limit=_PAGE):
            yield from page
            after = page[-1].task_no, page[-1].seq

    def _of_task(
        self,
        run: FlowRunRecord,
        parent: SpanName,
        task: TaskRunRecord,
        states: Sequence[StateRecord],
        upstreams: Sequence[int],
    ) -> ReadableSpan:
        links = [
            trace.Link(self._context(SpanName(self._trace, span_number(run.uid, no))))
            for no in upstreams[:_LINKS]
        ]
        return self._span(
            SpanName(self._trace, span_number(run.uid, task.no)), parent, f"task {task.task}", task,
            states,
            {
                "flowdeck.task_run": task.ref, "flowdeck.task_run_name": task.name,
                "flowdeck.task": task.task, "flowdeck.worker": task.worker or "",
                "flowdeck.attempt": task.attempt,
            },
            links,
        )  # fmt: skip

    def _span(
        self,
        name: SpanName,
        parent: SpanName | None,
        title: str,
        record: FlowRunRecord | TaskRunRecord,
        states: Sequence[StateRecord],
        attributes: dict[str, Any],
        links: Sequence[trace.Link] = (),
    ) -> ReadableSpan:
        began = record.started_us or record.created_us
        ended = record.ended_us or record.state_us
        return ReadableSpan(
            name=one_line(title, 200),
            context=self._context(name),
            parent=None if parent is None else self._context(parent),
            resource=self._resource,
            attributes=_clean({**attributes, "flowdeck.state": record.state}),
            events=[_event(state) for state in states],
            links=links,
            kind=trace.SpanKind.INTERNAL,
            status=_status(record.code, record.named, record.message),
            start_time=began * 1000,
            end_time=max(ended, began) * 1000,
            instrumentation_scope=_SCOPE,
        )

    @staticmethod
    def _context(name: SpanName) -> trace.SpanContext:
        sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        return trace.SpanContext(name.trace, name.span, is_remote=False, trace_flags=sampled)


class _Histories:
    """States by the number of their task run, which are asked for in rising order.

    Args:
        states: of all, in the same order.
    """

    def __init__(self, states: Iterator[StateRecord]) -> None:
        self._groups = groupby(states, key=lambda state: state.task_no)
        self._no, self._next = -1, list[Any]()

    def of(self, no: int) -> list[StateRecord]:
        """Return the states of a task run; those of numbers in between are passed over."""
        while self._no < no:
            number, found = next(self._groups, (1 << 62, iter(())))
            self._no, self._next = number, list(found)
        return self._next if self._no == no else []


def _clean(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes that every exporter takes: one lone surrogate, and none of a batch arrives."""
    return {name: _clean_value(value) for name, value in attributes.items()}


def _clean_value(value: Any) -> Any:
    if isinstance(value, list):
        return [one_line(each, _TEXT) for each in value]
    return one_line(value, _TEXT) if isinstance(value, str) else value


def _event(state: StateRecord) -> Event:
    attributes = {"message": one_line(state.message, _TEXT)} if state.message else {}
    return Event(state.state, attributes, state.us * 1000)


def _status(code: int, named: str | None, message: str | None) -> trace.Status:
    if code == COMPLETED:
        return trace.Status(trace.StatusCode.OK)
    if not is_final(code, named):
        return trace.Status(trace.StatusCode.UNSET)
    return trace.Status(trace.StatusCode.ERROR, one_line(message or "", _TEXT))
