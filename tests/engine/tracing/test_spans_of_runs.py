"""With the setting ``otel`` a flow run is a trace: made from the record, propagated to what runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import context, trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from flowdeck import flow, tags, task
from flowdeck.record import Record
from flowdeck.settings import using
from flowdeck.task_runners import ProcessTaskRunner
from flowdeck.tracing import exporting
from flowdeck.tracing.identity import SpanName, parsed, span_number, traceparent

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    exporting.use_exporter(found)
    with using(otel=True, console=False):
        yield found
    exporting.use_exporter(None)


def current() -> tuple[int, int]:
    found = trace.get_current_span().get_span_context()
    return found.trace_id, found.span_id


@task
def load(x: int) -> tuple[int, int]:
    if x < 0:
        raise ValueError("below zero")
    return current()


@task
def add(ids: Any) -> Any:
    return ids


def spans_of(exporter: InMemorySpanExporter) -> dict[str, Any]:
    assert exporting.wait()
    return {str(span.name): span for span in exporter.get_finished_spans()}


def test_flow_runs_tasks_and_subflows_are_spans_with_states_and_links(
    exporter: InMemorySpanExporter,
) -> None:
    seen: dict[str, Any] = {}

    @flow
    def child() -> None:
        seen["child"] = current()
        add.submit(1).wait()

    @flow
    def parent() -> None:
        seen["parent"] = current()
        seen["load"] = add.submit(load.submit(1)).result()
        child()
        load(-1, return_state=True)

    parent(return_state=True)
    spans = spans_of(exporter)
    assert set(spans) == {"flow parent", "task load", "task add", "task child", "flow child"}
    root, inner = spans["flow parent"], spans["flow child"]
    with Record() as record:
        run = record.run()
        uid = run.uid
    assert root.context.trace_id == int(uid, 16) == seen["parent"][0]
    assert root.parent is None
    assert root.context.span_id == seen["parent"][1]
    assert inner.parent.span_id == spans["task child"].context.span_id
    assert inner.context.span_id == seen["child"][1]
    assert {span.context.trace_id for span in spans.values()} == {int(uid, 16)}
    every = [span for span in exporter.get_finished_spans() if span.name == "task load"]
    good, bad = sorted(every, key=lambda span: span.start_time)
    assert seen["load"] == (good.context.trace_id, good.context.span_id)
    assert good.parent.span_id == root.context.span_id
    assert good.status.status_code is StatusCode.OK
    assert [event.name for event in good.events][-1] == "Completed"
    assert bad.status.status_code is StatusCode.ERROR
    assert "below zero" in bad.status.description
    linked = next(s for s in exporter.get_finished_spans() if s.name == "task add" and s.links)
    assert linked.links[0].context.span_id == good.context.span_id
    assert linked.end_time >= linked.start_time >= root.start_time
    assert good.resource.attributes["service.name"] == "flowdeck"


def test_a_flow_in_a_span_of_the_application_lies_below_it(exporter: InMemorySpanExporter) -> None:
    @flow
    async def work() -> tuple[int, int]:
        return current()

    ids = trace.SpanContext(7, 9, is_remote=False, trace_flags=trace.TraceFlags(1))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(ids)))
    try:
        found = asyncio.run(work())
        assert current() == (7, 9)
    finally:
        context.detach(token)
    (span,) = spans_of(exporter).values()
    assert (span.context.trace_id, span.parent.span_id) == (7, 9)
    assert found == (7, span.context.span_id)


def test_the_context_reaches_a_worker_in_another_process(exporter: InMemorySpanExporter) -> None:
    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def work() -> Any:
        return load.submit(1).result()

    there = work()
    span = spans_of(exporter)["task load"]
    assert there == (span.context.trace_id, span.context.span_id)


def test_without_the_setting_nothing_of_opentelemetry_is_touched(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "flowdeck.tracing.propagation", raising=False)

    @flow
    def work() -> Any:
        return load(1)

    with using(console=False):
        assert work() == (0, 0)
    assert "flowdeck.tracing.propagation" not in sys.modules


def test_an_exporter_that_fails_is_a_line_in_the_log_of_the_run(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    @flow
    def work() -> None: ...

    exporter.shutdown()  # it takes nothing any more
    work()
    assert exporting.wait()
    exporting.use_exporter(None)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nobody")
    work()
    assert exporting.wait()
    from flowdeck.runs import recorder as recording

    recording.close_all()
    with Record() as record:
        said = [line.message for run in record.runs() for line in run.logs(level=30)]
    assert any("spans were not sent" in text for text in said)
    assert any("flowdeck[otel]" in text for text in said)


def test_names_of_spans_travel_as_traceparents() -> None:
    name = SpanName(int("ab" * 16, 16), span_number("ab" * 16, 3))
    assert parsed(traceparent(name)) == name
    assert parsed("nonsense") is None
    assert span_number("x", 1) != span_number("x", 2)


def test_what_is_no_text_is_in_no_span(exporter: InMemorySpanExporter) -> None:
    evil = "a\udcff\x1b[31m"

    @flow(flow_run_name=evil)
    def hostile() -> None:
        load.with_options(name=evil, tags=[evil])(1)

    with tags(evil):
        hostile()
    for span in spans_of(exporter).values():
        for value in (span.name, *span.attributes.values()):
            for text in value if isinstance(value, tuple) else (value,):
                assert str(text).isprintable(), (span.name, text)
                str(text).encode()
