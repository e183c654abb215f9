"""The critical path of a run in its pictures: what is marked in them, and what the mark says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import width
from flowdeck_store.explain.flow_run import path_of
from flowdeck_store.ids import task_run_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.explain.critical_path import CriticalPath
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

#: What stands beside what is on the path: it is seen without colours, too.
MARK: Final = "*"
MARK_STYLE: Final = "$fd-accent"
#: Cells between the shares and how many task runs there are.
_GAP: Final = 3


@dataclass(frozen=True, slots=True)
class PathMarks:
    """What of a run's pictures lies on its critical path.

    Attributes:
        path: the path.
        task_runs: ids of its task runs.
        tasks: keys of their tasks.
        steps: which task comes next after which, by their keys.
    """

    path: CriticalPath
    task_runs: frozenset[int] = frozenset()
    tasks: frozenset[str] = frozenset()
    steps: frozenset[tuple[str, str]] = frozenset()


def marks_of(path: CriticalPath, run_id: int, keys: Mapping[int, str]) -> PathMarks:
    """Return what lies on a path.

    Args:
        path: of the run.
        run_id: number of the run.
        keys: of the tasks, by the numbers of their task runs.
    """
    way = [keys[link.no] for link in path.links if link.no in keys]
    return PathMarks(
        path,
        frozenset(task_run_id(run_id, link.no) for link in path.links),
        frozenset(way),
        frozenset((one, two) for one, two in pairwise(way) if one != two),
    )


def read_marks(reader: Reader, run: FlowRunRecord, now_us: int) -> PathMarks | None:
    """Read what lies on the path of a run; ``None``: it has not started. Runs on a lane's thread."""
    path = path_of(reader, run, now_us)
    if path is None:
        return None
    return marks_of(path, run.id, reader.task_keys(run.id, [link.no for link in path.links]))


#: What is told only of paths with tasks that were tried again.
TRIES: Final = "between tries"


def shares(path: CriticalPath) -> list[tuple[int, float]]:
    """Return what the time of a path was spent on: running, waiting for a worker, waiting between
    tries, the flow's own code; microseconds, and the share of the run's time from 0 to 1."""
    total = max(1, path.total_us)
    parts = (path.run_us, path.queue_us, path.pause_us, path.code_us)
    return [(us, us / total) for us in parts]


def legend(
    path: CriticalPath, look: Look, cells: int
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return what the mark means: pieces for the left and for the right end of a line.

    Args:
        path: of the run; of one without task runs there is nothing to say.
        look: for the signs.
        cells: room there is.
    """
    if not path.links:
        return [], []
    names = ("running", "waiting", TRIES, "flow code")
    told = ", ".join(
        f"{share:.0%} {name}"
        for name, (us, share) in zip(names, shares(path), strict=True)
        if us or name != TRIES
    )
    left = [(f"{MARK} critical path", f"bold {MARK_STYLE}"), (f"  {told}", "$fd-muted")]
    count = len(path.links)
    runs = f"{number(count, look.symbols.group)} task run{'' if count == 1 else 's'}"
    fits = sum(width(text) for text, _ in left) + _GAP + width(runs) <= cells
    return left, [(runs, "$fd-faint")] if fits else []
