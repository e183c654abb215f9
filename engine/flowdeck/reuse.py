"""What a flow run that is tried again need not do again: completed task runs and subflow runs.

A call is recognised by its key, how often that key was called before in this attempt, and equal
arguments. Arguments that cannot be compared (arrays) count as different: running a task twice is
better than handing out the wrong result.
"""

from __future__ import annotations

from typing import Any

from flowdeck import inputs
from flowdeck.states import State


class Memory:
    """Completed calls of earlier attempts. Only kept by flow runs that may be tried again."""

    def __init__(self) -> None:
        self._now: dict[tuple[str, int], tuple[dict[str, Any], Any]] = {}
        self._earlier: dict[tuple[str, int], tuple[dict[str, Any], Any]] = {}

    def note(self, key: str, index: int, parameters: dict[str, Any], run: Any) -> None:
        """Remember a call of this attempt; ``run`` has a ``state``."""
        self._now[key, index] = (_fingerprint(parameters), run)

    def next_attempt(self) -> None:
        """Forget what did not complete; the rest may be used from now on."""
        done = {k: v for k, v in self._now.items() if v[1].state.is_completed()}
        self._earlier |= done
        self._now = {}

    def find(self, key: str, index: int, parameters: dict[str, Any]) -> Any:
        """Return the completed run of the same call in an earlier attempt, or ``None``."""
        found = self._earlier.get((key, index))
        if found is None or not _same(found[0], _fingerprint(parameters)):
            return None
        return found[1]


def _fingerprint(parameters: dict[str, Any]) -> dict[str, Any]:
    """Replace futures by the numbers of their runs, so that equal inputs are equal."""

    def put(item: Any) -> Any:
        if isinstance(item, State):
            return ("state", item.state_details.task_run_id, item.type.value)
        return ("run", item.task_run.no)

    return {name: inputs.replace(value, put, unwrap=False) for name, value in parameters.items()}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if one.keys() != other.keys():
        return False
    for name, value in one.items():
        if value is other[name]:
            continue
        try:
            if not bool(value == other[name]):
                return False
        except Exception:
            return False
    return True
