"""``flowdeck run --watch``: the run again whenever a file changes, until Ctrl-C.

Each run is a process of its own, the same command without ``--watch``: it imports the files as they are
now, and has the terminal as any run. Changes come from watchfiles on threads; the one loop here waits
for them and for the end of the run in one queue.

A flow that writes into what is watched would start itself for ever. So a file that is no Python and that
changed during each of the last runs, with nobody's help as far as can be told, is left out from then on,
and it is said which.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.cli.errors import INTERRUPTED, Trouble
from flowdeck_app.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flowdeck.runs.launch_spec import LaunchSpec

#: After so many runs in a row that a file changed in, it is the flow that writes it.
OWN: Final = 3
#: Seconds that a run gets to end, besides those for cleaning up.
_PATIENCE: Final = 10.0
#: What watchfiles waits for more of one change, in milliseconds.
_DEBOUNCE: Final = 400


@dataclass
class OwnFiles:
    """Finds files that the flow itself writes."""

    _seen: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)

    def changed(self, paths: set[str], began: float, ended: float | None) -> set[str]:
        """Take what changed; return what is to start a run.

        Args:
            paths: of files.
            began: when the last run began, seconds since the epoch.
            ended: when it ended; ``None``: it goes on.
        """
        paths = paths - self.known
        during = {path for path in paths if _written_between(path, began, ended)}
        for path in during:
            self._seen[path] += 1
        for path in [path for path in self._seen if path not in during]:
            del self._seen[path]
        own = {path for path in during if self._seen[path] >= OWN}
        self.known |= own
        return paths - own


def _written_between(path: str, began: float, ended: float | None) -> bool:
    if path.endswith((".py", ".pyi", ".toml")):  # people write these
        return False
    try:
        written = os.stat(path).st_mtime
    except OSError:
        return False
    return began <= written and (ended is None or written <= ended)


class FileWatch:
    """Runs a command at each change of some paths.

    Args:
        command: what to run.
        paths: files and folders.
        overlap: what to do with a run that goes on: ``skip``, ``queue`` or ``cancel``.
        ignored: folders whose changes count for nothing.
        patience: seconds that a run gets to end when it is cancelled.
        begin: starts the command; default: in the same terminal.
    """

    def __init__(
        self,
        command: Sequence[str],
        paths: Sequence[Path],
        *,
        overlap: str,
        ignored: Sequence[Path],
        patience: float,
        begin: Callable[[Sequence[str]], Any] = subprocess.Popen,
    ) -> None:
        self._command, self._paths, self._overlap = command, paths, overlap
        self._ignored, self._patience, self._begin = ignored, patience + _PATIENCE, begin
        self._events: queue.SimpleQueue[set[str] | int] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._own = OwnFiles()
        self._run: Any = None
        self._number = 0
        self._began = 0.0
        self._ended: float | None = None
        self._pending = self._terminated = False

    def go(self) -> int:
        """Run until Ctrl-C or SIGTERM; return the exit code."""
        try:
            with _term_is_interrupt(self), self._watching():
                self.start()
                while True:
                    self.take(self._events.get())
        except KeyboardInterrupt:
            self._finish()
            return INTERRUPTED
        finally:
            self._stop.set()

    def terminated(self) -> None:
        """Note that this process was asked to end: the run does not know that yet."""
        self._terminated = True

    # -- what happens ----------------------------------------------------------------------

    def start(self) -> None:
        """Begin a run."""
        self._number += 1
        self._began, self._ended = time.time(), None
        self._pending = False
        self._run = run = self._begin(self._command)

        def wait(number: int) -> None:
            run.wait()
            self._events.put(number)

        threading.Thread(
            target=wait, args=(self._number,), name="flowdeck-watched", daemon=True
        ).start()

    def take(self, event: set[str] | int) -> None:
        """Do what follows from a change, or from the end of a run."""
        if isinstance(event, int):
            if event == self._number:
                self._ended = time.time()
                if self._pending:
                    self.start()
                else:
                    say(f"flowdeck: waiting for changes of {self._places()}; Ctrl-C ends.")
            return
        before = set(self._own.known)
        changed = self._own.changed(event, self._began, self._ended)
        for path in sorted(self._own.known - before):
            say(f"flowdeck: {_shown(path)} changes in every run; its changes count no more.")
        if changed:
            self._changed(changed)

    def _changed(self, paths: set[str]) -> None:
        first = _shown(min(paths))
        what = (
            f"{first} changed" if len(paths) == 1 else f"{first} and {len(paths) - 1} more changed"
        )
        if self._ended is not None or self._run.poll() is not None:
            say(f"flowdeck: {what}; it runs again.")
            self.start()
        elif self._overlap == "skip":
            say(f"flowdeck: {what}, but the run goes on: skipped.")
        elif self._pending:
            return
        elif self._overlap == "queue":
            self._pending = True
            say(f"flowdeck: {what}; it runs again when this run has ended.")
        else:
            self._pending = True
            say(f"flowdeck: {what}; the run is cancelled, and it runs again.")
            self._cancel()

    def _cancel(self) -> None:
        """Ask the run to cancel; end its process if it does not hear."""
        run = self._run
        run.send_signal(signal.SIGTERM)

        def insist() -> None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(self._patience)
                return
            run.kill()

        threading.Thread(target=insist, name="flowdeck-watched-end", daemon=True).start()

    def _finish(self) -> None:
        """Let the run end that goes on: Ctrl-C reaches it too, a SIGTERM has to be passed on."""
        run = self._run
        while run is not None and run.poll() is None:
            try:
                if self._terminated:
                    run.send_signal(signal.SIGTERM)
                    self._terminated = False
                run.wait()
            except KeyboardInterrupt:  # it got that as well: the second one kills
                continue

    def _places(self) -> str:
        return ", ".join(_shown(str(path)) for path in self._paths)

    # -- changes ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Put changes into the queue. A file is seen through its folder: editors replace files."""
        folders = [path for path in self._paths if path.is_dir()]
        files = {str(path) for path in self._paths if not path.is_dir()}
        parents = {Path(file).parent for file in files}
        threads = [
            threading.Thread(target=self._look, args=(*given,), name="flowdeck-watch", daemon=True)
            for given in ((folders, True, None), (sorted(parents), False, files))
            if given[0]
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(timeout=5)

    def _look(self, places: Sequence[Path], deep: bool, only: set[str] | None) -> None:
        from watchfiles import DefaultFilter, watch

        wanted = DefaultFilter(ignore_paths=[str(path) for path in self._ignored])
        for changes in watch(
            *places, watch_filter=wanted, debounce=_DEBOUNCE, stop_event=self._stop, recursive=deep,
            rust_timeout=500, raise_interrupt=False, ignore_permission_denied=True,
        ):  # fmt: skip
            paths = {path for _, path in changes}
            if only is not None:
                paths &= only
            paths = {path for path in paths if not os.path.isdir(path)}
            if paths:
                self._events.put(paths)


@contextlib.contextmanager
def _term_is_interrupt(watch: FileWatch) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        watch.terminated()
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # else: nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shown(path: str) -> str:
    here = os.getcwd() + os.sep
    return path.removeprefix(here)


def watch(
    spec: LaunchSpec, watched: Sequence[str], overlap: str, *, quiet: bool, as_json: bool
) -> int:
    """Run a flow, and again at each change, until Ctrl-C; return the exit code.

    Args:
        spec: what to run and how.
        watched: files and folders.
        overlap: what a change does while a run goes on.
        quiet: show nothing but errors of the runs.
        as_json: show each run's JSON.

    Raises:
        TargetError, Trouble: it cannot be run or watched.
    """
    from flowdeck.launch import targets
    from flowdeck.settings import get_settings

    paths = _checked(watched)
    targets.parse(spec.target)
    settings = get_settings()
    os.environ["FLOWDECK_COLOR"] = settings.color
    own = FileWatch(
        _command(spec, quiet=quiet, as_json=as_json),
        paths,
        overlap=overlap,
        ignored=[settings.home.absolute(), Path(os.path.realpath(settings.home))],
        patience=settings.cleanup_seconds,
    )
    return own.go()


def _command(spec: LaunchSpec, *, quiet: bool, as_json: bool) -> list[str]:
    """Return the command of one run: it has its Python chosen as any run."""
    from flowdeck.launch import interpreters

    words = ["run", f"--params={json.dumps(dict(spec.values))}"]
    words += [f"--param={name}={text}" for name, text in spec.texts.items()]
    words += [f"--runner-opt={name}={text}" for name, text in spec.runner_options.items()]
    words += [f"--tag={tag}" for tag in spec.tags]
    single = {"runner": spec.runner, "name": spec.name, "python": spec.python}
    words += [f"--{option}={value}" for option, value in single.items() if value]
    words += ["--quiet"] * quiet + ["--json"] * as_json
    return interpreters.command(interpreters.own(), "flowdeck_app", *words, "--", spec.target)


def _checked(paths: Sequence[str]) -> list[Path]:
    from importlib.util import find_spec

    if find_spec("watchfiles") is None:
        raise Trouble(
            "--watch needs watchfiles, which is not installed.",
            f"{sys.executable} -m pip install 'flowdeck[watch]' adds it.",
        )
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        raise Trouble(f"there is no file or folder {missing[0]} to watch.")
    return [Path(os.path.realpath(path)) for path in paths]
