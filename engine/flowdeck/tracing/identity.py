"""Which trace and span a run is: computed from its uid, so that nobody has to be told.

The uid of a flow run has as many bits as the id of a trace, and is it; a worker knows the span of the
task run that it executes as well as the process that exports it later. Only what is above a root flow
run (a span of the application that called it) travels, as the trace of its info.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

_BITS: Final = 8


class SpanName(NamedTuple):
    """A span, by the numbers that stand for it everywhere."""

    trace: int
    span: int


def span_number(uid: str, no: int = 0) -> int:
    """Return the id of a run's span: 64 bits, never 0.

    Args:
        uid: of the flow run.
        no: of the task run; 0: the flow run itself.
    """
    digest = blake2b(f"{uid}.{no}".encode(), digest_size=_BITS).digest()
    return int.from_bytes(digest, "big") or 1


def traceparent(name: SpanName) -> str:
    """Return a span as the header that carries it, sampled."""
    return f"00-{name.trace:032x}-{name.span:016x}-01"


def parsed(header: str) -> SpanName | None:
    """Return the span in such a header; ``None``: it is none."""
    try:
        _, trace, span, *_ = header.split("-")
        return SpanName(int(trace, 16), int(span, 16))
    except ValueError:
        return None
