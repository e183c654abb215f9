"""Which command opens a file at a line, and whether it takes the terminal over."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.app import SuspendNotSupported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.terminal.in_terminal import InTerminal

#: Name of the editor's program -> arguments after it, and whether it runs in the terminal.
_TEMPLATES: Final[dict[str, tuple[tuple[str, ...], bool]]] = {
    **dict.fromkeys(("vi", "vim", "nvim"), (("+{line}", "--", "{file}"), True)),
    **dict.fromkeys(
        ("nano", "emacs", "emacsclient", "kak", "micro", "joe", "ne"),
        (("+{line}", "{file}"), True),
    ),
    **dict.fromkeys(("hx", "helix"), (("{file}:{line}",), True)),
    **dict.fromkeys(
        ("code", "codium", "code-insiders", "cursor", "windsurf"),
        (("--goto", "{file}:{line}"), False),
    ),
    **dict.fromkeys(("subl", "zed", "zeditor", "lapce"), (("{file}:{line}",), False)),
    **dict.fromkeys(("pycharm", "idea", "kate", "mate"), (("--line", "{line}", "{file}"), False)),
    **dict.fromkeys(("gedit", "gvim"), (("+{line}", "{file}"), False)),
}


@dataclass(frozen=True, slots=True)
class EditorCommand:
    """What to run; ``in_terminal`` editors need the app to step aside."""

    argv: tuple[str, ...]
    in_terminal: bool


def editor_command(
    file: str, line: int, environment: Mapping[str, str] = os.environ, editor: str | None = None
) -> EditorCommand | None:
    """Return how to open ``file`` at ``line``; ``None`` if no editor is set.

    Args:
        file: path.
        line: from 1.
        environment: ``VISUAL`` and ``EDITOR`` are looked at, in that order.
        editor: the setting, which wins: like those, or with places to fill in,
            ``"myedit {file} --at {line}"``; they become single arguments, never through a shell.
    """
    for given in (editor or "", environment.get("VISUAL", ""), environment.get("EDITOR", "")):
        words = shlex.split(given)
        if not words:
            continue
        program = os.path.basename(words[0]).removesuffix(".exe")
        arguments, in_terminal = _TEMPLATES.get(program, (("{file}",), True))
        if given == editor and "{file}" in given:
            words, arguments = [], tuple(words)
        return EditorCommand((*words, *(_filled(a, file, line) for a in arguments)), in_terminal)
    return None


def _filled(part: str, file: str, line: int) -> str:
    return part.replace("{line}", str(line)).replace("{file}", file)


def pager_command(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the pager's command; ``less`` without ``$PAGER``."""
    return tuple(shlex.split(environment.get("PAGER", ""))) or ("less", "-R")


def start(app: InTerminal, command: EditorCommand) -> None:
    """Run an editor: beside the app, or in its place until it ends."""
    if not command.in_terminal:
        try:
            subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            _failed(app, command.argv[0], error)
        return
    _step_aside(app, command.argv)


def page(app: InTerminal, text: str) -> None:
    """Show a text in the pager, in the app's place until it ends."""
    _step_aside(app, pager_command(), text)


def _step_aside(app: InTerminal, argv: Sequence[str], text: str | None = None) -> None:
    try:
        with app.stepped_back():
            subprocess.run(argv, input=text, text=True, check=False)
    except SuspendNotSupported:
        app.notify("Not possible in this terminal: copy with y instead", markup=False)
    except OSError as error:
        _failed(app, argv[0], error)


def _failed(app: InTerminal, program: str, error: OSError) -> None:
    reason = error.strerror or str(error)
    app.notify(f"{program} cannot be started: {reason}", severity="error", markup=False)
