"""Every key of the screen it was opened on, from the action registry; typing narrows the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input

from flowdeck_app.actions import REGISTRY, Action, display_key
from flowdeck_app.drawing.cells import fit, wrap_cells
from flowdeck_app.screens.parts.base import FlowdeckModal
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.toggles import PlainInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import ActiveBinding, BindingType

    from flowdeck_app.drawing.look import Look

#: What a row is: a heading (no action), or an action with its keys and whether it works here.
HelpRow = tuple[str, Action | None, str, bool]
_KEYS: Final = 18  # cells for keys
#: What screens are called that stand below another one in the trail.
_NAMES: Final = {
    "RunScreen": "a run",
    "TaskScreen": "a task run",
    "CompareScreen": "a comparison",
}


def help_rows(
    active: dict[str, ActiveBinding], wanted: str = "", ascii_only: bool = False
) -> list[HelpRow]:
    """Return the help: what works here first, then the rest, by group.

    Args:
        active: the bindings of the screen.
        wanted: text that label, help or key must contain.
        ascii_only: name arrow keys by words.
    """
    keys: dict[str, list[str]] = {}
    for key, (_, binding, _, _) in active.items():
        if binding.id is not None:
            keys.setdefault(binding.id, []).append(display_key(key, ascii_only))
    rows: list[HelpRow] = []
    for here in (True, False):
        for group, actions in REGISTRY.groups().items():
            found = [
                _row(action, keys, ascii_only)
                for action in actions
                if (action.id in keys) is here and _fits(action, wanted)
            ]
            if found:
                title = group if here else f"{group} (on other screens)"
                rows += [(title, None, "", here), *found]
    return rows


def _row(action: Action, keys: dict[str, list[str]], ascii_only: bool) -> HelpRow:
    active = keys.get(action.id, [])
    order = [display_key(key, ascii_only) for key in action.keys]
    active.sort(key=lambda key: order.index(key) if key in order else len(order))
    shown = " ".join(active or order)
    return (action.id, action, shown, action.id in keys)


def _fits(action: Action, wanted: str) -> bool:
    text = f"{action.label} {action.help} {action.id} {action.shown_keys} {action.cli}"
    return all(word in text.casefold() for word in wanted.casefold().split())


class HelpList(LineView[HelpRow]):
    """The list of keys."""

    DEFAULT_CSS = """
    HelpList { height: 1fr; }
    """

    def lines(self, row: HelpRow, look: Look, width: int) -> Sequence[Content]:
        """Return a heading or one action."""
        title, action, keys, here = row
        if action is None:
            return [Content.styled(title, "bold $fd-accent" if here else "$fd-faint")]
        shown = fit(f"  {keys}", _KEYS)
        room = max(10, width - _KEYS - 1)
        cli = f"  {action.cli}" if action.cli and room > 60 else ""
        # A sentence is never cut: what does not fit stands below, the command then at its end.
        first, *below = wrap_cells(action.help, room - len(cli))
        if below and cli:
            first, *below = wrap_cells(action.help, room)
        strong, tone = (
            ("bold $fd-strong", "$foreground") if here else ("bold $fd-faint", "$fd-faint")
        )
        lines = [Content.assemble((shown, strong), (f" {first}", tone))]
        lines += [Content.styled(" " * (_KEYS + 1) + text.lstrip(), tone) for text in below]
        last = lines[-1]
        if cli and last.cell_length + len(cli) <= width:
            lines[-1] = last + Content.styled(cli.rjust(width - last.cell_length), "$fd-faint")
        return lines


class HelpScreen(FlowdeckModal):
    """The help of a screen.

    Args:
        active: the bindings that were active when it was opened.
        title: name of the screen.
    """

    CSS_PATH = "help.tcss"
    AUTO_FOCUS = "#help-filter"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "list_down", show=False, priority=True),
        Binding("up", "list_up", show=False, priority=True),
        Binding("pagedown", "list_page_down", show=False, priority=True),
        Binding("pageup", "list_page_up", show=False, priority=True),
        Binding("f1", "form_cancel", show=False),
    ]

    def __init__(self, active: dict[str, ActiveBinding], title: str = "") -> None:
        super().__init__()
        self._active, self._title = active, title
        self._rows: MemorySource[HelpRow] = MemorySource((), key=lambda row: (row[0], row[3]))

    def compose(self) -> ComposeResult:
        """Yield the panel."""
        self._rows.rows = help_rows(self._active, ascii_only=self.look.symbols.ascii)
        panel = Vertical(classes="panel")
        panel.border_title = Content(f"Keys {self._title}".strip())
        panel.border_subtitle = Content(f"type to narrow {self.look.symbols.dot} esc close")
        with panel:
            yield PlainInput(placeholder="type to narrow", id="help-filter", compact=True)
            keys = HelpList(self._rows, empty=("No key does that", "esc closes the help"))
            keys.wrapped = True  # sentences that do not fit go on below
            yield keys

    @on(Input.Changed)
    def _narrow(self, message: Input.Changed) -> None:
        self._rows.rows = help_rows(self._active, message.value, self.look.symbols.ascii)
        self.query_one(HelpList).reload()

    def _list(self) -> HelpList:
        return self.query_one(HelpList)

    def action_list_down(self) -> None:
        """Go down in the list while typing."""
        self._list().action_move_down()

    def action_list_up(self) -> None:
        """Go up in the list while typing."""
        self._list().action_move_up()

    def action_list_page_down(self) -> None:
        """Go a page down in the list."""
        self._list().action_move_page_down()

    def action_list_page_up(self) -> None:
        """Go a page up in the list."""
        self._list().action_move_page_up()


def help_title(screen: Any) -> str:
    """Return the name of a screen for the help's heading."""
    named = _NAMES.get(type(screen).__name__)
    if named is not None:
        return f"on {named}"
    trail = getattr(screen, "trail", None)
    names = list(trail()) if callable(trail) else []
    return f"on {names[0]}" if names else ""
