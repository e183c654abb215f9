"""Sending the spans of a flow run when it has ended: on a thread, from the record.

Nothing of it is on the way of a task: no span is made while a flow goes on. The exporter is the one
that the ``OTEL_`` variables name (``OTEL_TRACES_EXPORTER``, by default OTLP, which has its own for
address and headers). The process waits for it at its end, for at most :data:`LIMIT` seconds.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import WARNING, line
from flowdeck.settings import get_settings
from flowdeck.stopping import cancellation
from flowdeck.tracing import propagation
from flowdeck.tracing.identity import SpanName, parsed
from flowdeck_store import clock
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

#: Seconds that the process waits at its end.
LIMIT: Final = 10.0
#: Spans that are sent at once.
_BATCH: Final = 512
_GROUP: Final = "opentelemetry_traces_exporter"
#: What the values of OTEL_EXPORTER_OTLP_PROTOCOL are called as exporters.
_OTLP: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}

_chosen: SpanExporter | None = None
_made: dict[str, SpanExporter] = {}
_going: set[threading.Thread] = set()
_lock = threading.Lock()


def use_exporter(exporter: SpanExporter | None) -> None:
    """Have spans sent by this exporter from now on, in this process.

    Args:
        exporter: of OpenTelemetry's SDK; ``None``: the one that the ``OTEL_`` variables name.
    """
    global _chosen
    _chosen = exporter


def prepare(run: Any) -> None:
    """Make what sends the spans of a root flow run: when it has ended, its process may be at its own
    end, where nothing can be imported any more that starts threads. What is wrong is said then."""
    if run.parent is None and run.recorder.is_record:
        with contextlib.suppress(Exception):
            import flowdeck.tracing.spans  # noqa: F401

            _resource()
            _exporter()


def ended(run: Any) -> None:
    """Send the spans of a root flow run that has entered its last state; returns at once."""
    name = parsed(run.info.trace or "")
    if name is None or not run.recorder.is_record:
        return
    job = _Job(run, name.trace, propagation.above(run.info.uid), get_settings().home)
    thread = threading.Thread(target=job.send, name="flowdeck-otel", daemon=True)
    with _lock:
        _going.add(thread)
    try:
        thread.start()
    except RuntimeError:  # no thread to be had
        _going.discard(thread)


def wait(timeout: float = LIMIT) -> bool:
    """Wait until all is sent; ``False`` if it is not after ``timeout`` seconds."""
    until = clock.monotonic() + timeout
    for thread in list(_going):
        thread.join(max(0.0, until - clock.monotonic()))
    return not any(thread.is_alive() for thread in list(_going))


class _Job:
    """The spans of one flow run, on their way."""

    def __init__(self, run: Any, trace: int, above: SpanName | None, home: Path) -> None:
        self._run, self._trace, self._above, self._home = run, trace, above, home

    def send(self) -> None:
        """Read them, and send them in batches."""
        try:
            self._send()
        except Exception as error:  # nothing that goes wrong here may show as a thread's traceback
            said = one_line(f"Its spans were not sent: {type(error).__name__}: {error}", 1000)
            line(self._run, WARNING, said)
        finally:
            with _lock:
                _going.discard(threading.current_thread())

    def _send(self) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        exporter = _exporter()
        spans = self._spans()
        while batch := list(islice(spans, _BATCH)):
            if exporter.export(batch) is not SpanExportResult.SUCCESS:
                raise OSError("the exporter did not take them; it logs why")

    def _spans(self) -> Iterator[ReadableSpan]:
        from flowdeck.tracing.spans import Spans
        from flowdeck_store.read.reader import Reader

        self._run.recorder.flush(LIMIT / 2)
        with Reader.open(self._home) as reader:
            record = reader.run_by_uid(self._run.info.uid)
            if record is not None:
                made = Spans(reader, self._trace, _resource())
                yield from made.of_run(record, self._above)


@functools.cache
def _resource() -> Resource:
    from opentelemetry.sdk.resources import Resource

    named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "flowdeck"}
    return Resource.create(named)


def _exporter() -> SpanExporter:
    """Return the exporter to use.

    Raises:
        LookupError: there is none of the name in the variables.
    """
    if _chosen is not None:
        return _chosen
    from importlib.metadata import entry_points

    name = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").partition(",")[0].strip() or "otlp"
    if name == "otlp":
        name = _OTLP[os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]
    with _lock:
        if name not in _made:
            found = list(entry_points(group=_GROUP, name=name))
            if not found:
                raise LookupError(
                    f"there is no exporter {name!r}: `pip install 'flowdeck[otel]'`, or set "
                    "OTEL_TRACES_EXPORTER to one that is installed"
                )
            _made[name] = found[0].load()()
        return _made[name]


def _wait_at_the_end(timeout: float = LIMIT) -> None:
    if _going and not wait(timeout):
        print("flowdeck: sending spans took too long.", file=sys.stderr)
    for exporter in list(_made.values()):
        exporter.shutdown()


def _forget_after_fork() -> None:
    """The threads are those of the parent."""
    global _lock
    _lock = threading.Lock()
    _going.clear()
    _made.clear()


atexit.register(_wait_at_the_end)  # before the store closes: what is registered later comes first
cancellation.before_the_end.insert(0, _wait_at_the_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
