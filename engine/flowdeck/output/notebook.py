"""One line that lives, in a notebook, in place of the engine's INFO lines.

A flow of ten tasks has two dozen of them, which nobody reads twice, and which stay in the notebook for
ever. So in a kernel of IPython they are in the record only (``flowdeck logs``, the app), and the cell
shows one line about each flow run: how many tasks have ended, and in the end how it went. Lines of the
flow's own loggers and warnings are shown as everywhere, and so are all with the setting
``log_level = "DEBUG"``.

Nothing of IPython is imported that is not there already: a kernel has imported it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between two pictures.
_PERIOD: Final = 0.25
#: Seconds for which a stopped thread is waited for.
_STOPPING: Final = 2.0


class FollowedRun(Protocol):
    """What is needed here of a flow run."""

    flow: Any
    info: Any
    state: Any
    recorder: Any
    submissions: Any


def is_front_end() -> bool:
    """Say whether this process is the kernel of a notebook (or of another front end that shows HTML)."""
    ipython, kernel = sys.modules.get("IPython"), sys.modules.get("ipykernel")
    if ipython is None or kernel is None:
        return False
    with contextlib.suppress(Exception):
        shell = ipython.get_ipython()
        return shell is not None and getattr(shell, "kernel", None) is not None
    return False


@contextlib.contextmanager
def live_line(run: FollowedRun) -> Iterator[None]:
    """Show a line about a flow run inside the block, and its last one at the end."""
    line = _Line(run)
    line.begin()
    try:
        yield
    finally:
        line.end()


class _Line:
    """The line of one flow run."""

    def __init__(self, run: FollowedRun) -> None:
        self._run = run
        self._began = clock.monotonic()
        self._over = threading.Event()
        self._shown: Any = None  # IPython's handle of what is displayed
        self._thread = threading.Thread(target=self._draw, name="flowdeck-notebook", daemon=True)

    def begin(self) -> None:
        """Show it from now on."""
        with contextlib.suppress(Exception):  # nobody's run depends on what is shown of it
            self._show()
        with contextlib.suppress(RuntimeError):  # no thread to be had
            self._thread.start()

    def end(self) -> None:
        """Show how the run ended."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(_STOPPING)
        with contextlib.suppress(Exception):
            self._show()

    def _draw(self) -> None:
        while not self._over.wait(_PERIOD):
            with contextlib.suppress(Exception):
                self._show()

    def _show(self) -> None:
        display = sys.modules["IPython"].display
        content = {"text/html": self._html(), "text/plain": self._text()}
        if self._shown is None:
            self._shown = display.display(content, raw=True, display_id=True)
        else:
            self._shown.update(content, raw=True)

    def _parts(self) -> tuple[str, str]:
        """Return what is said before and after the state."""
        run = self._run
        number = run.recorder.run_number(run.info.uid)
        where = f" #{number}" if number is not None else ""
        total, left = len(run.submissions.counted), len(run.submissions.open)
        seconds = clock.monotonic() - self._began
        took = f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min"
        tasks = "" if not total else f"{total - left:,}/{total:,} tasks, "
        said = run.state.message or ""
        return f"{run.flow.name} {run.info.name}{where}", f"{tasks}{took}  {said}".rstrip()

    def _html(self) -> str:
        from flowdeck.values.html import badge, escaped

        name, figures = self._parts()
        state = self._run.state
        return f"<div>{badge(state.name, state.type.value)} {escaped(name)} &middot; {escaped(figures)}</div>"

    def _text(self) -> str:
        from flowdeck_store.safe import one_line

        name, figures = self._parts()
        return one_line(f"{self._run.state.name}: {name}, {figures}", 500)
