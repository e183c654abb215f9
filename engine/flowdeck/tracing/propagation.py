"""The span of the run whose code executes, as OpenTelemetry's context has it, here and on workers.

So what a function calls (an instrumented client, spans of its own) stands below its run in the trace.
The run's own span does not exist yet: it is made at the end from the record, with the same ids.
Imported only where a run has a trace, which it has if the setting ``otel`` is on.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from flowdeck.tracing.identity import SpanName, parsed, span_number, traceparent

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The span of the application that a root flow run was called in, by uid of the run.
_above: dict[str, SpanName] = {}


def begin(run: Any) -> None:
    """Give a flow run its trace: that of the flow run that called it, that of the application's span
    which is current, or one of its own."""
    uid = run.info.uid
    trace = int(uid, 16)
    parent = None if run.parent is None else run.parent.info.trace
    if parent is not None:
        trace = (parsed(parent) or SpanName(trace, 0)).trace
    else:
        above = _current()
        if above is not None:
            trace = above.trace
            _above[uid] = above
    run.info.trace = traceparent(SpanName(trace, span_number(uid)))


def above(uid: str) -> SpanName | None:
    """Return, once, the application's span that a root flow run was called in."""
    return _above.pop(uid, None)


def _current() -> SpanName | None:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    found = trace.get_current_span().get_span_context()
    return SpanName(found.trace_id, found.span_id) if found.is_valid else None


@contextlib.contextmanager
def inside(run: Any) -> Iterator[None]:
    """Have the span of a run be the current one inside the block.

    Args:
        run: the flow run or task run; its info has a trace.
    """
    try:
        from opentelemetry import context, trace
    except ImportError:  # on a worker: nothing there makes spans, either
        yield
        return
    found = parsed(run.info.trace)
    if found is None:
        yield
        return
    ids = trace.SpanContext(
        found.trace,
        span_number(run.info.uid, run.no),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(ids)))
    try:
        yield
    finally:
        context.detach(token)
