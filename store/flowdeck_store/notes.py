"""Notes that people wrote on runs afterwards: how they lie in the record, and how they are read.

A note is an artifact of the flow run itself (task number 0) of the kind :data:`NOTE`, so it is
exported, imported and deleted with its run without a table of its own. :data:`RAN_WITH` keeps, once
tags were changed afterwards, those that the run began with: a retry gets these.
Both are written by :mod:`flowdeck_store.record.annotations`. An imported record may hold anything:
what is no note is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flowdeck_store import json_text
from flowdeck_store.ids import sql_id

NOTE: Final = "note"
RAN_WITH: Final = "tags"
#: Characters of a note.
MAX_NOTE: Final = 4_000
#: Notes that are read of one run.
MAX_NOTES: Final = 200
_MAX_BY: Final = 200

#: All notes of the run ``r``, as a JSON array of ``[seq, us, data]``; NULL without any.
SQL_NOTES: Final = (
    "(SELECT json_group_array(json_array(n.seq, n.us, substr(n.data, 1, 65536))) FROM (SELECT seq, us, data "
    f"FROM artifacts WHERE task = ({sql_id('r.id', '0')}) AND kind = '{NOTE}' "
    f"ORDER BY seq LIMIT {MAX_NOTES}) n HAVING count(*))"
)
#: The tags that the run ``r`` began with, as a JSON array.
SQL_RAN_WITH: Final = (
    f"coalesce((SELECT data FROM artifacts WHERE task = ({sql_id('r.id', '0')}) "
    f"AND kind = '{RAN_WITH}' ORDER BY seq LIMIT 1), r.tags)"
)


@dataclass(frozen=True, slots=True)
class Note:
    """One note on a run."""

    seq: int  # in the record
    us: int  # when it was written
    text: str  # may have several lines
    by: str | None  # who wrote it: a name of a user and a host


def notes_of(column: str | None) -> tuple[Note, ...]:
    """Return the notes in a column of :data:`SQL_NOTES`, oldest first."""
    if not column:
        return ()
    found = (_note(*row) for row in json_text.loads(column))
    return tuple(note for note in found if note is not None)


def _note(seq: int, us: int, data: str) -> Note | None:
    try:
        value: Any = json_text.loads(data)
    except (ValueError, TypeError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return None
    by = value.get("by")
    who = _clean(by)[:_MAX_BY] if isinstance(by, str) else ""
    return Note(seq, us, _clean(value["text"])[:MAX_NOTE], who or None)


def _clean(text: str) -> str:
    """Without halves of characters, which cannot be written anywhere."""
    return text.encode("utf-8", "replace").decode()
