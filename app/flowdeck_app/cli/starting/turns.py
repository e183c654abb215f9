"""Waiting until it is a launched run's turn: the runs before it have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.cli.following import changes
from flowdeck_app.cli.record import reading

if TYPE_CHECKING:
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_store.read.reader import Reader


def wait_for_turn(spec: LaunchSpec) -> None:
    """Wait until the runs that ``spec`` comes after have ended, or somebody asks this one to end:
    it then begins, and ends at once as any run does that is cancelled.

    Args:
        spec: of a run that is recorded already.
    """
    with reading() as reader:
        for _ in changes(reader):
            if _is_its_turn(reader, spec):
                return


def _is_its_turn(reader: Reader, spec: LaunchSpec) -> bool:
    own = reader.run_by_uid(spec.uid or "")
    if own is None or own.is_final or reader.is_asked_to_end(own.id):
        return True
    earlier = (reader.run_by_uid(uid) for uid in spec.after)
    return all(run is None or run.is_final for run in earlier)
