"""A parameter in the launch form: its row, and below it those of its items or fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

from flowdeck_app.events.living import Living
from flowdeck_app.screens.launch.fields import FieldRow

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from flowdeck_app.screens.launch.form import Form
    from flowdeck_app.screens.launch.specs import Field


class ParameterRows(Living, Vertical):
    """The rows of one parameter; as items come and go, rows do.

    Args:
        spec: the parameter.
        form: what is filled in.
    """

    def __init__(self, spec: Field, form: Form) -> None:
        super().__init__()
        self.spec, self._form = spec, form

    def compose(self) -> ComposeResult:
        """Yield the rows as they are now."""
        for spec in self._form.rows(self.spec):
            yield FieldRow(spec, self._text(spec), "p")

    async def follow(self) -> None:
        """Show what the form holds now; a row that stays keeps its cursor."""
        wanted = self._form.rows(self.spec)
        rows = list(self.query_children(FieldRow))
        for place, spec in enumerate(wanted):
            row = rows[place] if place < len(rows) else None
            if row is not None and row.can_be(spec):
                row.become(spec, self._text(spec))
                continue
            for old in rows[place:]:
                await old.remove()
            await self.mount(*[FieldRow(one, self._text(one), "p") for one in wanted[place:]])
            return
        for old in rows[len(wanted) :]:
            await old.remove()

    def _text(self, spec: Field) -> str:
        if spec.widget != "group":
            return "" if spec.adds else self._form.text(spec)
        given = not spec.adds and self._form.text(spec) not in {"null", ""}
        return "true" if given else "false"
