"""Opening the record for a verb: where it is, whom it waits for, and what died meanwhile."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from flowdeck_app.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flowdeck_store.read.reader import Reader


def home() -> Path:
    """Return the folder that holds the record."""
    from flowdeck.settings import get_settings

    return get_settings().home


#: Seconds that a look waits for a record that somebody has locked.
_PATIENCE: Final = 0.5
_said: set[str] = set()  # by this process


@contextlib.contextmanager
def reading() -> Iterator[Reader]:
    """Open the record for reading, after runs whose process is gone were marked Crashed."""
    look_after_dead()
    with _opened() as reader:
        yield reader


def _opened() -> Reader:
    """Open the record; say so if that has to wait for another program."""
    from flowdeck_store.errors import StoreBusy
    from flowdeck_store.read.reader import Reader

    try:
        return Reader.open(home(), wait=_PATIENCE)
    except StoreBusy:
        say("flowdeck: another program has locked the record; waiting for it...")
        return Reader.open(home())


def look_after_dead() -> None:
    """Mark runs whose process died, and say which."""
    from flowdeck_store.errors import StoreError
    from flowdeck_store.file.left_behind import left_in
    from flowdeck_store.journal.chain import DAMAGED
    from flowdeck_store.upkeep.liveness import recover

    try:
        found = recover(home(), wait=_PATIENCE)
    except StoreError:
        return  # a record that can only be read (or not even that) is said by whoever reads it
    left = left_in(home())
    if left is not None and left.message not in _said:
        _said.add(left.message)
        dead = len(left.sessions) + len(left.launches)
        who = "a process is" if dead == 1 else f"{dead} processes are"
        say(f"flowdeck: {who} {left.message}.")
    for item in found:
        process = f"process {item.pid} on {item.host}" if item.pid else "a process"
        if item.run_ids:
            runs = ", ".join(f"#{run_id}" for run_id in item.run_ids[:10])
            say(f"flowdeck: {process} is gone without ending run {runs}: marked as Crashed.")
        if item.missing.events:
            places = ", ".join(f"{path}{DAMAGED}" for path in item.missing.kept)
            kept = f"; what is left of its journal: {places}." if places else "."
            say(f"flowdeck: {item.missing.count(item.missing.events)} missing of {process}{kept}")
