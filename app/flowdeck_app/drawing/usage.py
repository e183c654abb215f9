"""What task runs used, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing import amounts, times

if TYPE_CHECKING:
    from flowdeck_store.usage import UsageRecord


#: Seconds of processor time below which it is not worth a word: calling a function takes some.
_LEAST: Final = 0.01


def processor(usage: UsageRecord | None) -> str:
    """Return the processor time; nothing where nobody can tell, or there was hardly any."""
    if usage is None or usage.cpu_seconds is None or usage.cpu_seconds < _LEAST:
        return ""
    return times.duration(usage.cpu_seconds)


def memory(usage: UsageRecord | None) -> str:
    """Return the most memory, and what its process kept of it: ``512.3 MB, 1.2 MB of it stayed``."""
    if usage is None or usage.peak is None:
        return ""
    said = amounts.size(usage.peak)
    if usage.growth is not None and usage.growth > 0:
        said += f", {amounts.size(usage.growth)} of it stayed"
    return said


def disk(usage: UsageRecord | None) -> str:
    """Return the bytes that were read from disks and written to them."""
    if usage is None or not (usage.read or usage.written):
        return ""
    return f"{amounts.size(usage.read)} read, {amounts.size(usage.written)} written"


def short(usage: UsageRecord | None) -> list[str]:
    """Return processor time and memory for a line of facts: ``3.1s CPU``, ``512.3 MB``."""
    cpu = processor(usage)
    most = amounts.size(usage.peak) if usage is not None and usage.peak is not None else ""
    return [part for part in (f"{cpu} CPU" if cpu else "", most) if part]
