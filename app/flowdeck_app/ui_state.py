"""What the app remembers: last screen, filters, sort, theme, last parameters, presets.

One small JSON file in the home folder, written atomically. A file that cannot be read counts as
empty and is kept aside; a folder that cannot be written only means that nothing is remembered.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = 1
FILE: Final = "ui.json"
#: Flows whose last parameters are kept.
MOST_FLOWS: Final = 200


class UiState:
    """A dictionary of remembered things with a few typed doors.

    Args:
        path: the file; ``None`` remembers nothing beyond this object (tests, read-only homes).
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._data: dict[str, Any] = {}
        self.dirty = False

    @classmethod
    def load(cls, home: Path) -> UiState:
        """Read the state of a home folder."""
        state = cls(home / FILE)
        try:
            data = json.loads((home / FILE).read_text("utf-8"))
        except FileNotFoundError:
            return state
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                (home / FILE).replace(home / f"{FILE}.bad")
            return state
        if isinstance(data, dict) and data.get("version") == VERSION:
            state._data = data
        return state

    def get(self, *path: str, default: Any = None) -> Any:
        """Return a remembered value: ``state.get("run.tasks", "order", default="problems")``."""
        place: Any = self._data
        for name in path:
            if not isinstance(place, dict) or name not in place:
                return default
            place = place[name]
        if default is not None and not isinstance(place, type(default)):
            return default
        return copy.deepcopy(place)

    def remember(self, *path: str, value: Any) -> None:
        """Remember a JSON value under a path; ``None`` forgets it."""
        place = self._data
        for name in path[:-1]:
            child = place.get(name)
            if not isinstance(child, dict):
                child = place[name] = {}
            place = child
        if value is None:
            place.pop(path[-1], None)
        elif place.get(path[-1]) != value:
            place[path[-1]] = copy.deepcopy(value)
        else:
            return
        self.dirty = True

    def last_parameters(self, flow_key: str) -> dict[str, Any]:
        """Return the values that a flow was last launched with."""
        found: dict[str, Any] = self.get("parameters", flow_key, default={})
        return found

    def remember_parameters(self, flow_key: str, values: dict[str, Any]) -> None:
        """Keep the values of a launch; the oldest flow is forgotten when there are too many."""
        kept = self._data.setdefault("parameters", {})
        kept.pop(flow_key, None)
        kept[flow_key] = copy.deepcopy(values)
        while len(kept) > MOST_FLOWS:
            del kept[next(iter(kept))]
        self.dirty = True

    def save(self) -> None:
        """Write the file if anything changed; never raises."""
        if not self.dirty or self._path is None:
            return
        self.dirty = False
        with contextlib.suppress(OSError, TypeError, ValueError):
            write_atomically(self._path, json.dumps({**self._data, "version": VERSION}, indent=1))


def write_atomically(path: Path, text: str) -> None:
    """Write a private file so that readers see the old or the new text, never half of it.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
