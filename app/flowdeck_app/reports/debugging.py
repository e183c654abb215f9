"""What is said of a task run before it runs again in the debugger. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck.debugging.inputs import Lost
from flowdeck.values.previews import params_reprs
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowdeck.debugging.inputs import Restored
    from flowdeck_store.read.records import TaskRunRecord

#: Characters of a value, and names of changed functions, that are shown.
_VALUE = 60
_CHANGED = 5


def lines(
    run: TaskRunRecord, inputs: Mapping[str, Restored | Lost], changed: tuple[str, ...] | None
) -> Iterator[str]:
    """Yield what is restored and how, what is not and what to do, and whether the code changed.

    Args:
        run: the task run.
        inputs: its inputs by name.
        changed: parts of its code that are others than then; ``None``: not known.
    """
    yield f"{one_line(run.label)} ({run.ref}) {one_line(run.state)}, again with"
    for name, found in inputs.items():
        if isinstance(found, Lost):
            yield f"  {name}: not restored: {one_line(found.why, 400)}."
            if found.remedy:
                yield f"    {one_line(found.remedy, 400)}"
        else:
            text = one_line(params_reprs({name: found.value})[name])
            shown = text if len(text) <= _VALUE else text[: _VALUE - 1] + "…"
            yield f"  {name} = {shown}  ({one_line(found.how)})"
    if not inputs:
        yield "  no inputs: it takes none"
    if changed:
        names = ", ".join(map(one_line, changed[:_CHANGED]))
        more = f" and {len(changed) - _CHANGED} more" if len(changed) > _CHANGED else ""
        yield f"The code is not the one that ran: {names}{more} changed since."
