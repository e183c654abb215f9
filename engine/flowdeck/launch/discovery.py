"""Find flows in files without importing them.

Only the syntax tree is read, so nothing of the user's runs, missing packages do not matter, and a
broken file is one line in the report. What only running the file would tell (a flow made in a
loop, a re-exported decorator) is not found; such a flow can still be run by its target.
"""

from __future__ import annotations

import ast
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowdeck.launch.discovery_syntax import FoundFlow, FoundParameter, flows_of_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "FlowFinder",
    "FoundFlow",
    "FoundParameter",
    "Problem",
    "Scan",
    "discover",
    "find_in_file",
]

#: Folders that hold other people's code or none at all. Hidden ones are skipped as well.
SKIPPED: Final = frozenset(
    {"__pycache__", "node_modules", "site-packages", "dist-packages", "__pypackages__"}
)
MAX_FILES: Final = 20_000
MAX_DEPTH: Final = 24
MAX_BYTES: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder that could not be looked at, and why."""

    file: Path
    message: str
    line: int | None = None
    text: str | None = None  # the offending source line


@dataclass(frozen=True, slots=True)
class Scan:
    """What one look at some paths found, in order of file and line."""

    flows: tuple[FoundFlow, ...]
    problems: tuple[Problem, ...]
    files: int  # Python files looked at
    truncated: bool  # there were more than MAX_FILES


@dataclass(slots=True)
class FlowFinder:
    """Scans paths and remembers each file by its time and size, so that looking again is cheap."""

    _known: dict[str, tuple[int, int, tuple[FoundFlow, ...], tuple[Problem, ...]]] = field(
        default_factory=dict
    )

    def scan(self, paths: Iterable[str | Path]) -> Scan:
        """Look for flows in files and folders.

        Args:
            paths: files are always read; folders are walked, without hidden folders, virtual
                environments and installed packages. Links are followed once.
        """
        flows: list[FoundFlow] = []
        problems: list[Problem] = []
        count, truncated = 0, False
        for item in _python_files(paths):
            if isinstance(item, Problem):
                problems.append(item)
                continue
            if count == MAX_FILES:
                truncated = True
                break
            count += 1
            found, wrong = self._flows_of(item)
            flows += found
            problems += wrong
        return Scan(tuple(flows), tuple(problems), count, truncated)

    def _flows_of(self, path: str) -> tuple[tuple[FoundFlow, ...], tuple[Problem, ...]]:
        try:
            stat = os.stat(path)
        except OSError as error:
            return (), (Problem(Path(path), error.strerror or str(error)),)
        known = self._known.get(path)
        if known is not None and known[:2] == (stat.st_mtime_ns, stat.st_size):
            return known[2:]
        found, problem = _read(path, stat.st_size)
        result = tuple(found), (problem,) if problem else ()
        self._known[path] = (stat.st_mtime_ns, stat.st_size, *result)
        return result


def discover(paths: Iterable[str | Path]) -> list[FoundFlow]:
    """Return the flows in files and folders; files that cannot be read are left out.

    :meth:`FlowFinder.scan` reports those too and is cheaper when looking again.

    Args:
        paths: files and folders, as for :meth:`FlowFinder.scan`.
    """
    return list(FlowFinder().scan(paths).flows)


def find_in_file(path: Path) -> tuple[list[FoundFlow], Problem | None]:
    """Return the flows of one file, and what is wrong with it if it cannot be read or parsed."""
    return _read(os.fspath(path), 0)


def display_path(path: str | Path) -> str:
    """Return ``path`` as users would type it: relative when it lies below the working directory."""
    text = os.path.abspath(path)
    try:
        here = os.getcwd()
    except OSError:  # the working directory was removed
        return text
    if text.startswith(here.rstrip(os.sep) + os.sep):
        return os.path.relpath(text, here)
    return text


def _read(path: str, size: int) -> tuple[list[FoundFlow], Problem | None]:
    file = Path(path)
    if size > MAX_BYTES:
        return [], None  # generated code: no person writes flows in a file of megabytes
    try:
        content = file.read_bytes()
    except OSError as error:
        return [], Problem(file, error.strerror or str(error))
    if b"flowdeck" not in content:
        return [], None  # without the word there is no import of it, whatever else is in there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the user's text, said when it is imported
            tree = ast.parse(content, filename=path)
    except SyntaxError as error:
        text = (error.text or "").strip() or None
        return [], Problem(file, error.msg or "invalid syntax", error.lineno, text)
    except (ValueError, RecursionError, MemoryError) as error:
        return [], Problem(file, str(error) or type(error).__name__)
    return flows_of_module(tree, file, display_path(file)), None


def _python_files(paths: Iterable[str | Path]) -> Iterator[str | Problem]:
    seen: set[tuple[int, int]] = set()  # of folders and files: links and repeated paths
    for path in paths:
        start = os.path.expanduser(os.fspath(path))
        try:
            stat = os.stat(start)
        except OSError as error:
            yield Problem(Path(start), error.strerror or str(error))
            continue
        if os.path.isdir(start):
            yield from _walk(os.path.abspath(start), 0, seen)
        elif _new(stat, seen):
            yield os.path.abspath(start)


def _walk(folder: str, depth: int, seen: set[tuple[int, int]]) -> Iterator[str | Problem]:
    try:
        if not _new(os.stat(folder), seen):
            return
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Problem(Path(folder), error.strerror or str(error))
        return
    if depth and any(entry.name == "pyvenv.cfg" for entry in entries):
        return  # a virtual environment under whatever name
    folders: list[str] = []
    for entry in entries:
        try:
            if entry.is_dir():
                if not entry.name.startswith(".") and entry.name not in SKIPPED:
                    folders.append(entry.path)
            elif entry.name.endswith(".py") and entry.is_file() and _new(entry.stat(), seen):
                yield entry.path
        except OSError as error:  # a link that leads nowhere, in circles, or out of reach
            yield Problem(Path(entry.path), error.strerror or str(error))
    if depth < MAX_DEPTH:
        for child in folders:
            yield from _walk(child, depth + 1, seen)


def _new(stat: os.stat_result, seen: set[tuple[int, int]]) -> bool:
    key = stat.st_dev, stat.st_ino
    if key in seen:
        return False
    seen.add(key)
    return True
