"""Reading what the process of a live run noted of what its task runs wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, StateRecord


@dataclass(frozen=True, slots=True)
class StallCause:
    """Something that task runs wait for.

    Attributes:
        kind: ``slot``, ``retry``, ``engine`` (resources, workers), ``worker``, ``thread``, ``loop``,
            ``upstream`` or ``start``.
        count: how many task runs wait for just that.
        text: a sentence without its full stop.
    """

    kind: str
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class BusyRecord:
    """A function that executes while others wait: of which run, where, and since when (µs)."""

    name: str
    place: str
    since_us: int


@dataclass(frozen=True, slots=True)
class StallRecord:
    """What task runs of a live run wait for, while nothing ends or begins.

    Attributes:
        is_stall: nothing executes, or what does can only wait; else it is only that others queue.
        since_us: since when nothing has ended or begun, µs.
        us: when it was noted, µs.
        causes: what is waited for, what most wait for first.
        busy: what executes.
    """

    is_stall: bool
    since_us: int
    us: int
    causes: tuple[StallCause, ...]
    busy: tuple[BusyRecord, ...] = ()

    @property
    def text(self) -> str:
        """What is waited for, in sentences."""
        return " ".join(f"{cause.text}." for cause in self.causes)


def stall_of(reader: Reader, run: FlowRunRecord) -> StallRecord | None:
    """Return what a run's task runs wait for; ``None`` if it goes on or has ended.

    Args:
        reader: of the record.
        run: the flow run.

    Raises:
        StoreError: the record cannot be read.
    """
    found = None if run.is_final else reader.noted(run.id, "stall")
    return None if found is None else _stall(*found)


def retry_us(states: list[StateRecord]) -> int | None:
    """Return when a run that is *AwaitingRetry* is tried again, µs, by its state history."""
    found = (states[-1].data or {}).get("retry_at_us") if states else None
    return found if isinstance(found, int) else None


def _stall(us: int, data: dict[str, Any]) -> StallRecord | None:
    causes = tuple(
        StallCause(str(item.get("kind", "")), _number(item.get("count")), str(item.get("text", "")))
        for item in _objects(data.get("causes"))
    )
    if not causes:
        return None
    busy = tuple(
        BusyRecord(
            str(item.get("name", "")), str(item.get("place", "")), _number(item.get("since_us"))
        )
        for item in _objects(data.get("busy"))
    )
    return StallRecord(data.get("stall") is True, _number(data.get("since_us")), us, causes, busy)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
