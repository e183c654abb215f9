"""Writing runs of the history into a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from textual import work

from flowdeck_app.access import SLOW
from flowdeck_store.errors import StoreError
from flowdeck_store.read.dump import dump

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flowdeck_app.host import HostApp
    from flowdeck_store.read.reader import Reader


def write_runs(reader: Reader, ids: Sequence[int], path: Path) -> None:
    """Write everything that is recorded of runs as JSON lines; runs on a lane's thread.

    Raises:
        OSError: the file cannot be written.
        StoreError: the record cannot be read.
    """
    with path.open("w", encoding="utf-8") as file:
        for run_id in ids:
            file.writelines(dump(reader, run_id, "jsonl"))


def free_name(folder: Path, ids: Sequence[int]) -> Path:
    """Return a name in a folder that no file has yet."""
    stem = f"flowdeck-run-{ids[0]}" if len(ids) == 1 else f"flowdeck-{len(ids)}-runs"
    path = folder / f"{stem}.jsonl"
    n = 2
    while path.exists():
        path = folder / f"{stem}-{n}.jsonl"
        n += 1
    return path


class ExportsRuns:
    """The key that writes the chosen runs to a file; mixed into the screen of the history."""

    def action_take_export(self) -> None:
        """Write the chosen runs as JSON lines."""
        if ids := cast("Any", self).chosen_ids():
            self._export(ids)

    @work(exclusive=False, exit_on_error=False, group="export")
    async def _export(self, ids: tuple[int, ...]) -> None:
        app = cast("HostApp", cast("Any", self).app)
        path = free_name(app.folder, ids)
        try:
            await app.access.ask(lambda reader: write_runs(reader, ids, path), SLOW)
        except (OSError, StoreError) as error:
            app.show_error("The export was not written", error)
        else:
            app.say(f"Wrote {path.name}")
