"""One registry of everything a user can do.

An :class:`Action` is written once; bindings, footer, command palette, ``?`` help, the keymap of
the settings and the key table of the docs are all made from it. The action ``run.cancel`` calls
the method ``action_run_cancel`` of the focused widget, the screen or the app (whoever has it and
lists the id in its bindings).

Guards: ``guard="can_cancel"`` names a property of the screen that answers ``True`` (possible),
``None`` (shown greyed out) or ``False`` (not shown). A screen without it allows the action.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.binding import Binding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Action:
    """Something a user can do, with everything that is shown about it.

    Attributes:
        id: what the settings call it, ``group.verb``.
        keys: Textual's names of its keys, the one shown first.
        label: one or two words for the footer and the palette.
        help: one sentence.
        group: heading in the help and in the docs.
        rank: place in the footer, low first; ``None`` keeps it out of the footer.
        scope: ``view`` acts outside inputs, ``form`` inside dialogs with inputs, ``replay`` on the
            line of a replay. Keys are unique within a scope.
        guard: name of the screen's property that says whether it is possible now.
        cli: the same thing on the command line, ``RUN``, ``TASK_RUN`` and ``TARGET`` as in its
            usage texts.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    rank: int | None = None
    scope: str = "view"
    guard: str = ""
    cli: str = ""

    @property
    def method(self) -> str:
        """Name of the action for Textual: ``run.cancel`` -> ``run_cancel``."""
        return self.id.replace(".", "_")

    @property
    def shown_keys(self) -> str:
        """The keys as a user reads them: ``"j ↓"``."""
        return " ".join(display_key(key) for key in self.keys)


class UnknownAction(KeyError):
    """No action has that id."""


class ActionRegistry:
    """All actions, in the order of help and docs."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions: dict[str, Action] = {}
        self._by_method: dict[str, Action] = {}
        taken: dict[tuple[str, str], str] = {}
        for action in actions:
            if action.id in self._actions:
                raise ValueError(f"two actions are called {action.id!r}")
            for key in action.keys:
                other = taken.setdefault((action.scope, key), action.id)
                if other != action.id:
                    raise ValueError(f"{other!r} and {action.id!r} share the key {key!r}")
            self._actions[action.id] = action
            self._by_method[action.method] = action

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())

    def __contains__(self, action_id: object) -> bool:
        return action_id in self._actions

    def __getitem__(self, action_id: str) -> Action:
        try:
            return self._actions[action_id]
        except KeyError:
            near = self.nearest(action_id)
            hint = f"; did you mean {near!r}?" if near else ""
            raise UnknownAction(f"no action is called {action_id!r}{hint}") from None

    def nearest(self, action_id: str) -> str | None:
        """Return the id that looks most like ``action_id``."""
        found = difflib.get_close_matches(action_id, self._actions, n=1)
        return found[0] if found else None

    def by_method(self, method: str) -> Action | None:
        """Return the action of ``run_cancel`` (also ``screen.run_cancel``), if it is one."""
        return self._by_method.get(method.rpartition(".")[2])

    def groups(self) -> dict[str, list[Action]]:
        """Return the actions by group, both in the order of definition."""
        found: dict[str, list[Action]] = {}
        for action in self:
            found.setdefault(action.group, []).append(action)
        return found

    def bindings(self, *ids: str, hide: Iterable[str] = ()) -> list[Binding]:
        """Return Textual bindings for a ``BINDINGS`` list.

        Args:
            ids: actions that the widget or screen has a method for; all of a group by
                ``"group.*"``.
            hide: ids to leave out of this footer although they have a rank.
        """
        hidden = set(hide)
        return [self._binding(action, action.id in hidden) for action in self._chosen(ids)]

    def _chosen(self, ids: Iterable[str]) -> Iterator[Action]:
        for action_id in ids:
            if action_id.endswith(".*"):
                start = action_id[:-1]
                yield from (a for a in self if a.id.startswith(start))
            else:
                yield self[action_id]

    @staticmethod
    def _binding(action: Action, hidden: bool) -> Binding:
        return Binding(
            ",".join(action.keys),
            action.method,
            action.label,
            show=action.rank is not None and not hidden,
            key_display=display_key(action.keys[0]),
            tooltip=action.help,
            id=action.id,
        )


_NAMES: Final[dict[str, str]] = {
    "question_mark": "?", "slash": "/", "colon": ":", "exclamation_mark": "!", "asterisk": "*",
    "equals_sign": "=", "plus": "+", "minus": "-", "comma": ",", "full_stop": ".",
    "left_square_bracket": "[", "right_square_bracket": "]", "up": "↑", "down": "↓",
    "left": "←", "right": "→", "escape": "esc", "pageup": "pgup", "pagedown": "pgdn",
}  # fmt: skip


_ARROWS: Final = frozenset({"up", "down", "left", "right"})


def display_key(key: str, ascii_only: bool = False) -> str:
    """Return a key as users read it: ``question_mark`` -> ``?``, ``ctrl+d`` stays."""
    if ascii_only and key in _ARROWS:
        return key
    return _NAMES.get(key, key)


def _a(
    action_id: str,
    keys: str,
    label: str,
    help_text: str,
    group: str,
    rank: int | None = None,
    *,
    scope: str = "view",
    guard: str = "",
    cli: str = "",
) -> Action:
    return Action(action_id, tuple(keys.split()), label, help_text, group, rank, scope, guard, cli)


_MOVE, _GO, _FIND, _VIEW = "Move", "Go", "Find", "View"
_RUN, _MARK, _TAKE, _APP, _FORM = "Run", "Mark", "Take out", "App", "In forms"
_REPLAY = "In a replay"

# fmt: off
REGISTRY: Final = ActionRegistry((
    _a("move.down", "j down", "Down", "The next row.", _MOVE),
    _a("move.up", "k up", "Up", "The row before.", _MOVE),
    _a("move.first", "g home", "First", "The first row.", _MOVE),
    _a("move.last", "G end", "Last", "The last row; in logs also follow.", _MOVE),
    _a("move.half_down", "ctrl+d", "Half page down", "Half a page down.", _MOVE),
    _a("move.half_up", "ctrl+u", "Half page up", "Half a page up.", _MOVE),
    _a("move.page_down", "pagedown", "Page down", "One page down.", _MOVE),
    _a("move.page_up", "pageup", "Page up", "One page up.", _MOVE),
    _a("move.left", "h left", "Left", "Pan to the left, or fold.", _MOVE),
    _a("move.right", "l right", "Right", "Pan to the right, or unfold.", _MOVE),

    _a("go.open", "enter", "Open", "Open what the cursor is on.", _GO, 10, guard="can_open",
       cli="flowdeck show RUN"),
    _a("go.back", "escape", "Back", "Close the popup, else clear the search, else unzoom, else go back.", _GO, 95),
    _a("go.next_pane", "tab", "Next pane", "Put the focus on the next pane.", _GO),
    _a("go.previous_pane", "shift+tab", "Previous pane", "Put the focus on the pane before.", _GO),
    _a("go.next_tab", "right_square_bracket", "Next tab", "Show the next tab.", _GO, 70),
    _a("go.previous_tab", "left_square_bracket", "Previous tab", "Show the tab before.", _GO),
    _a("go.next_attempt", "full_stop", "Next attempt", "Show the next attempt of the task.", _GO),
    _a("go.previous_attempt", "comma", "Previous attempt", "Show the attempt before.", _GO),
    _a("go.next_failure", "f", "Next failure", "Go to the next failed task, or the last failure.", _GO, 45),
    _a("go.error", "e", "Error", "The flow's own error: its traceback with source and variables.", _GO, 44,
       guard="can_see_error", cli="flowdeck show RUN"),
    _a("go.why", "W", "Why", "Why it went as it did: cause, what changed since, what took the time.", _GO, 47,
       cli="flowdeck why RUN"),
    _a("go.home", "1", "Home", "Flows, recent runs and health.", _GO, 75, cli="flowdeck flows"),
    _a("go.runs", "2", "Runs", "The history of all runs.", _GO, 76, cli="flowdeck runs [QUERY]"),
    _a("go.errors", "3", "Errors", "What failed, the same error as one row.", _GO, 77, cli="flowdeck errors [QUERY]"),
    _a("go.schedules", "4", "Schedules", "Flows that start by the clock.", _GO, cli="flowdeck schedule"),

    _a("run.new", "r", "Run", "Start a flow: choose parameters and a runner.", _RUN, 5, guard="can_launch",
       cli="flowdeck run TARGET"),
    _a("run.answer", "A", "Answer", "Answer what the run asks: the oldest of its questions.", _RUN, 4, guard="can_answer",
       cli="flowdeck answer RUN"),
    _a("run.again", "R", "Re-run", "Run it again; the parameters can be changed first.", _RUN, 15, guard="can_rerun",
       cli="flowdeck retry RUN"),
    _a("run.from_failed", "F", "From failed", "Run only what failed; says first what is reused.", _RUN, 20,
       guard="can_rerun_failed", cli="flowdeck retry RUN --failed"),
    _a("run.cancel", "c", "Cancel run", "Cancel the run; asks first, again within 5 s kills it.", _RUN, 25,
       guard="can_cancel", cli="flowdeck cancel RUN"),
    _a("run.cancel_task", "x", "Cancel task", "Cancel the task; asks first, again within 5 s kills it.", _RUN, 30,
       guard="can_cancel_task", cli="flowdeck cancel TASK_RUN"),
    _a("run.debug", "B", "Debug", "Run the task again alone, with the debugger where it fails.", _RUN, 46,
       guard="can_debug", cli="flowdeck debug TASK_RUN"),
    _a("run.pause", "p", "Pause", "Pause the schedule; again resumes it.", _RUN, 22, guard="can_pause",
       cli="flowdeck schedule pause NAME"),
    _a("run.delete", "D", "Delete", "Delete runs from the record; asks with their number.", _RUN, 55,
       guard="can_delete", cli="flowdeck delete RUN..."),
    _a("run.tag", "M", "Tags", "Add tags to runs (tag), or take them away (-tag).", _RUN, guard="can_annotate",
       cli="flowdeck tag RUN... +TAG -TAG"),
    _a("run.note", "m", "Note", "Write a note on runs; shows those there are.", _RUN, guard="can_annotate",
       cli="flowdeck note RUN TEXT"),
    _a("run.undo", "u", "Undo", "Undo the last deletion, within 10 s.", _RUN, guard="can_undo"),

    _a("find.filter", "slash", "Filter", "Filter rows, or search in text.", _FIND, 40),
    _a("find.next", "n", "Next match", "The next match of the search.", _FIND),
    _a("find.previous", "N", "Previous match", "The match before.", _FIND),
    _a("find.problems", "exclamation_mark", "Problems", "Show only what went wrong; again shows all.", _FIND, 42),

    _a("view.follow", "t", "Follow", "Stay at the end while lines arrive.", _VIEW, 50),
    _a("view.wrap", "w", "Wrap", "Wrap long lines, or cut them.", _VIEW),
    _a("view.times", "T", "Times", "Times absolute, relative or off.", _VIEW),
    _a("view.sort", "s", "Sort", "Sort by the next column.", _VIEW, 52),
    _a("view.reverse", "S", "Reverse", "Sort the other way round.", _VIEW),
    _a("view.zoom", "z", "Zoom", "Give the focused pane the whole screen; again gives it back.", _VIEW, 60),
    _a("view.preview", "v", "Preview", "Show or hide the preview pane.", _VIEW),
    _a("view.group", "b", "Group", "Group by task, worker or state; the history by flow or by day.", _VIEW),
    _a("view.tree", "X", "Subflows", "Show tasks, timeline and log with those of all subflows, or the run alone.",
       _VIEW, 39, guard="can_tree", cli="flowdeck tasks RUN --tree"),
    _a("view.fold", "Z", "Fold", "Fold the subflow or group under the cursor, or unfold it.", _VIEW, 53, guard="can_fold"),
    _a("view.replay", "H", "Replay", "Replay the record: show the run as it was at a moment. Nothing is run again.",
       _VIEW, 49),
    _a("view.mine", "O", "Mine only", "Leave out the lines that the engine writes in every run; again shows all.", _VIEW, 41,
       cli="flowdeck logs RUN --mine"),
    _a("view.patterns", "i", "Patterns", "Show lines that differ only in numbers as one, with how many there are.", _VIEW, 43,
       cli="flowdeck logs RUN --patterns"),
    _a("view.more", "plus", "More", "Zoom in on the timeline or graph, or more lines round a match.", _VIEW),
    _a("view.less", "minus", "Less", "Zoom out, or fewer lines round a match.", _VIEW),
    _a("view.fit", "0", "Fit", "The whole run on the timeline, the whole graph on the screen.", _VIEW),
    _a("view.all", "a", "All", "Show all frames, columns or attempts; unfold or fold all subflows, groups or tracebacks.", _VIEW),
    _a("view.diff", "d", "Diff", "What differs: recorded and present source, or parameters.", _VIEW),

    _a("mark.toggle", "space", "Mark", "Mark the row for an action on several.", _MARK, 12),
    _a("mark.all", "asterisk", "Mark all", "Mark all matching rows; again unmarks.", _MARK),
    _a("mark.compare", "equals_sign", "Compare", "Compare the two marked runs.", _MARK, 54, guard="can_compare"),

    _a("take.copy", "y", "Copy", "Copy the selection, or the focused thing.", _TAKE, 56),
    _a("take.markdown", "Y", "As issue", "Copy as Markdown for an issue.", _TAKE, cli="flowdeck task TASK_RUN"),
    _a("take.editor", "o", "Editor", "Open the source in your editor at the line.", _TAKE, 48, guard="can_edit"),
    _a("take.pager", "P", "Pager", "Read it in your pager.", _TAKE),
    _a("take.export", "J", "Export", "Write JSON, JSONL, CSV or log text.", _TAKE, 58, cli="flowdeck export RUN"),

    _a("app.palette", "colon ctrl+p", "Commands", "Commands, flows, runs, records, themes by name.", _APP, 80),
    _a("app.help", "question_mark f1", "Help", "Every key of this screen.", _APP, 90),
    _a("app.copy_selection", "ctrl+c", "Copy selection", "Copy the selected text; without one says how to quit.", _APP),
    _a("app.suspend", "ctrl+z", "Suspend", "Back to the shell; its fg returns.", _APP, guard="can_suspend"),
    _a("app.quit", "q ctrl+q", "Quit", "Leave; runs go on.", _APP, 99),

    _a("replay.play", "space", "Play", "Play the record on from this moment, or pause.", _REPLAY, 1, scope="replay"),
    _a("replay.back", "left h", "Back", "The moment at which something last changed before.", _REPLAY, 2, scope="replay"),
    _a("replay.forward", "right l", "Forward", "The moment at which something next changes.", _REPLAY, 3, scope="replay"),
    _a("replay.faster", "plus", "Faster", "Play faster.", _REPLAY, 4, scope="replay"),
    _a("replay.slower", "minus", "Slower", "Play more slowly.", _REPLAY, scope="replay"),
    _a("replay.leap_back", "pageup", "Leap back", "Back by a twentieth of the run.", _REPLAY, scope="replay"),
    _a("replay.leap_forward", "pagedown", "Leap on", "On by a twentieth of the run.", _REPLAY, scope="replay"),
    _a("replay.first", "home g", "First", "The beginning of the run.", _REPLAY, scope="replay"),
    _a("replay.live", "end G", "Live", "End the replay: show the run as it is now.", _REPLAY, 5, scope="replay"),

    _a("form.run", "ctrl+r f5", "Run", "Start with these values.", _FORM, 10, scope="form"),
    _a("form.copy", "ctrl+y", "Copy command", "Copy the command that does the same.", _FORM, 20, scope="form"),
    _a("form.json", "ctrl+t f2", "As JSON", "Edit the value, or all values, as JSON.", _FORM, 30, scope="form"),
    _a("form.last", "ctrl+l", "Last values", "Take the values of the last run.", _FORM, 40, scope="form"),
    _a("form.save", "ctrl+s", "Save", "Keep the values as a preset, or the filter as a view.", _FORM, 50, scope="form"),
    _a("form.more", "up", "More", "The next day, or one more.", _FORM, scope="form"),
    _a("form.less", "down", "Less", "The day before, or one less.", _FORM, scope="form"),
    _a("form.far_more", "shift+up", "Much more", "A month later, or ten more.", _FORM, scope="form"),
    _a("form.far_less", "shift+down", "Much less", "A month earlier, or ten less.", _FORM, scope="form"),
    _a("form.cancel", "escape", "Cancel", "Close without doing anything.", _FORM, 60, scope="form"),
))
# fmt: on


def bindings(*ids: str, hide: Iterable[str] = ()) -> list[Binding]:
    """Return bindings of the one registry; see :meth:`ActionRegistry.bindings`."""
    return REGISTRY.bindings(*ids, hide=hide)


def key_table(registry: ActionRegistry = REGISTRY) -> str:
    """Return the docs' key table: Markdown, one section a group."""
    lines: list[str] = []
    for group, actions in registry.groups().items():
        lines += [
            f"## {group}",
            "",
            "| Key | Id | What it does | Command |",
            "| --- | --- | --- | --- |",
        ]
        for action in actions:
            keys = " ".join(f"`{display_key(key)}`" for key in action.keys)
            cli = f"`{action.cli}`" if action.cli else ""
            lines.append(f"| {keys} | `{action.id}` | {action.help} | {cli} |")
        lines.append("")
    return "\n".join(lines)
