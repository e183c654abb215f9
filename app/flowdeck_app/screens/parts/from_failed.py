"""What ``F`` on a run would reuse and what it would run again, as the launch dialog says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.cells import clean

if TYPE_CHECKING:
    from flowdeck.reuse.forecast import Preview

#: Task runs named in the dialog.
_NAMED: Final = 4


def plan_lines(plan: Preview) -> list[str]:
    """Return what the dialog says about it."""
    lines = [plan.summary]
    if plan.again:
        named = ", ".join(f"{clean(item.name, 40)}" for item in plan.again[:_NAMED])
        more = f" and {len(plan.again) - _NAMED:,} more" if len(plan.again) > _NAMED else ""
        lines.append(f"Runs again: {named}{more}")
    if plan.hint:
        lines.append(plan.hint)
    return lines
