"""The command palette: what can be done here, flows, runs and themes, by name.

Every line is Content: a flow called ``[/foo]`` is shown as that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Provider
from textual.content import Content
from textual.widgets import Input

from flowdeck.settings import get_settings
from flowdeck_app.actions import REGISTRY, display_key
from flowdeck_app.control.homes import others
from flowdeck_app.drawing.cells import clean, cut, fit
from flowdeck_app.drawing.signs import SIGNS, kind_of, word_of
from flowdeck_app.events.living import LivingScreen
from flowdeck_app.views.sweeps import sweeps_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from textual.types import IgnoreReturnCallbackType

    from flowdeck_app.host import HostApp
    from flowdeck_store.read.records import FlowRecord, FlowRunRecord

#: Runs that the palette knows.
RECENT: Final = 200
#: Runs among which sweeps are looked for.
_SWEPT: Final = 10_000
_NAME: Final = 26  # cells for names
_TAIL: Final = 38  # cells for what stands behind


@dataclass(frozen=True, slots=True)
class PaletteEntry:
    """One line: what is matched, how it is shown, what it does."""

    text: str
    tail: str
    tail_style: str
    command: IgnoreReturnCallbackType


class _Entries(Provider):
    """A provider over a list of entries; subclasses make the list."""

    #: Whether the entries are shown before anything is typed.
    AT_ONCE: ClassVar[bool] = True

    @property
    def flowdeck(self) -> HostApp:
        """The app."""
        return self.app  # type: ignore[return-value]

    async def startup(self) -> None:
        """Make the list once per opening of the palette."""
        self._list = await self.entries()

    async def entries(self) -> list[PaletteEntry]:
        """Return what can be chosen."""
        return []

    async def discover(self) -> AsyncIterator[DiscoveryHit]:
        """Show the list before anything is typed."""
        if self.AT_ONCE:
            for entry in self._list:
                yield DiscoveryHit(_shown(entry.text, entry), entry.command, text=entry.text)

    async def search(self, query: str) -> AsyncIterator[Hit]:
        """Match names fuzzily."""
        matcher = self.matcher(query)
        for entry in self._list:
            score = matcher.match(entry.text)
            if score > 0:
                lit = matcher.highlight(entry.text)
                yield Hit(score, _shown(lit, entry), entry.command, text=entry.text)


def _shown(name: str | Content, entry: PaletteEntry) -> Content:
    name = Content(name) if isinstance(name, str) else name
    room = max(1, _NAME - name.cell_length)
    return Content.assemble(name, " " * room, (entry.tail, entry.tail_style))


class ActionCommands(_Entries):
    """Everything the screen can do now, with its key and its command."""

    async def entries(self) -> list[PaletteEntry]:
        """Return the active actions in the registry's order."""
        active = self.screen.active_bindings
        signs = self.flowdeck.look.symbols
        found: dict[str, tuple[str, Callable[[], object]]] = {}
        for key, (node, binding, enabled, _) in active.items():
            if enabled and binding.id in REGISTRY and binding.id not in found:
                run = partial(self.app.run_action, binding.action, node)
                found[str(binding.id)] = (key, run)
        return [
            PaletteEntry(
                action.label,
                fit(display_key(found[action.id][0], signs.ascii), 11)
                + cut(action.cli or action.help, _TAIL, ellipsis=signs.ellipsis),
                "$fd-muted not bold",
                found[action.id][1],
            )
            for action in REGISTRY
            if action.id in found and action.group != "Move"
        ]


class FlowCommands(_Entries):
    """Flows of the record: start one."""

    AT_ONCE = False

    async def entries(self) -> list[PaletteEntry]:
        """Return a line a flow."""
        flows: list[FlowRecord] = await self.flowdeck.access.ask(lambda reader: reader.flows())
        return [
            PaletteEntry(
                f"Run {clean(flow.name, 100)}",
                cut(clean(flow.source or "", 300), _TAIL + 11),
                "$fd-muted not bold",
                partial(self.flowdeck.open_launch, flow.key),
            )
            for flow in flows
        ]


class RunCommands(_Entries):
    """Recent runs: open one."""

    AT_ONCE = False

    async def entries(self) -> list[PaletteEntry]:
        """Return a line a run."""
        runs: list[FlowRunRecord] = await self.flowdeck.access.ask(
            lambda reader: reader.runs(limit=RECENT)
        )
        signs = self.flowdeck.look.symbols
        return [
            PaletteEntry(
                clean(f"{run.name} {run.flow}", 100),
                f"{signs.of(kind_of(run.code, run.named))} {word_of(run.code, run.named)}",
                f"{SIGNS[kind_of(run.code, run.named)].style} not bold",
                partial(self.flowdeck.open_run, run.id),
            )
            for run in runs
        ]


class SweepCommands(_Entries):
    """Sweeps of recent runs: open one."""

    AT_ONCE = False

    async def entries(self) -> list[PaletteEntry]:
        """Return a line a sweep, the newest first."""
        runs: list[FlowRunRecord] = await self.flowdeck.access.ask(
            lambda reader: reader.runs("tag:sweep:*", limit=_SWEPT, roots=True)
        )
        flows = {name: run.flow for run in reversed(runs) for name in sweeps_of(run.tags)}
        return [
            PaletteEntry(
                f"Sweep {clean(name, 100)}",
                cut(clean(flow, 300), _TAIL + 11),
                "$fd-muted not bold",
                partial(self.flowdeck.open_sweep, name),
            )
            for name, flow in reversed(flows.items())
        ]


class RecordCommands(_Entries):
    """Records with names, in the setting ``homes``: go on with another one."""

    AT_ONCE = False

    async def entries(self) -> list[PaletteEntry]:
        """Return a line a record; none in a browser, whose page would end with the app."""
        if self.app.is_web:
            return []
        return [
            PaletteEntry(
                f"Record {clean(name, 100)}",
                cut(clean(str(path), 300), _TAIL + 11),
                "$fd-muted not bold",
                partial(self.flowdeck.open_record, path),
            )
            for name, path in others(self.flowdeck.home, get_settings().homes)
        ]


class ThemeCommands(_Entries):
    """Themes: ours, Textual's, the terminal's own."""

    AT_ONCE = False

    async def entries(self) -> list[PaletteEntry]:
        """Return a line a theme, ours first."""
        return [
            PaletteEntry(
                f"Theme {name}", "", "$fd-muted not bold", partial(self.flowdeck.set_theme, name)
            )
            for name in self._names()
        ]

    def _names(self) -> Iterator[str]:
        names = self.app.available_themes
        yield from (name for name in names if name.startswith("flowdeck"))
        yield from sorted(name for name in names if not name.startswith("flowdeck"))


class Palette(LivingScreen, CommandPalette):
    """Textual's palette in our colours, without its emoji."""

    DEFAULT_CSS = """
    Palette { background: $background 60%; color: $foreground; }
    Palette > Vertical { margin-top: 2; width: 84; max-width: 94%; background: $background; }
    Palette SearchIcon { display: none; }
    Palette #--input { border: round $fd-accent; background: $background; padding: 0 1; }
    Palette #--input.--list-visible { border: round $fd-accent; }
    Palette CommandInput, Palette CommandInput:focus { border: none; padding: 0; height: 1; }
    Palette CommandList {
        background: $panel; border: none; padding: 0 1; max-height: 60vh; scrollbar-size: 1 1;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    Palette CommandList > .option-list--option { padding: 0 1; text-style: none; }
    """

    def __init__(self) -> None:
        super().__init__(
            providers=[
                ActionCommands,
                FlowCommands,
                RunCommands,
                SweepCommands,
                RecordCommands,
                ThemeCommands,
            ],
            placeholder=f"commands, flows, runs, {'records, ' * bool(get_settings().homes)}themes",
        )

    def on_mount(self) -> None:
        """Let the cursor stand still, as in every other field."""
        self.query_one(Input).cursor_blink = False

    def _action_command_list(self, action: str) -> None:
        """Move in the list, once it has lines: Textual's page keys fail before."""
        if any(listed.scrollable_content_region for listed in self.query(CommandList)):
            super()._action_command_list(action)
