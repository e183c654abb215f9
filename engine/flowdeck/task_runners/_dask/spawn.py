"""Starting worker processes without importing the user's script a second time.

Python's ``spawn`` has each child import the parent's main file, which runs whatever is not under
``if __name__ == "__main__":`` once more. Workers do not need that file: its functions come by value.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.spawn
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What Dask calls the processes that its nannies start.
_WORKER: Final = "Dask Worker process"
_MAIN: Final = ("init_main_from_path", "init_main_from_name")

ADVICE: Final = (
    "This process was started as a Dask worker and imports the script of the flow: put the call of "
    'the flow under `if __name__ == "__main__":`.'
)


class _Hook:
    """Replaces ``get_preparation_data`` of :mod:`multiprocessing.spawn` while it is needed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.original: Callable[[str], dict[str, Any]] | None = None

    def prepare(self, name: str) -> dict[str, Any]:
        """What a child is told: not its main file, if it is a worker of Dask's."""
        assert self.original is not None
        told = self.original(name)
        if name.startswith(_WORKER):
            for key in _MAIN:
                told.pop(key, None)
        return told


_hook: Final = _Hook()


@contextlib.contextmanager
def workers_skip_main() -> Iterator[None]:
    """Let workers that Dask starts inside the block do without the main file.

    Workers are started again when they die, so the block is the cluster's life.
    """
    spawn: Any = multiprocessing.spawn
    with _hook.lock:
        _hook.users += 1
        if _hook.users == 1:
            _hook.original = spawn.get_preparation_data
            spawn.get_preparation_data = _hook.prepare
    try:
        yield
    finally:
        with _hook.lock:
            _hook.users -= 1
            if _hook.users == 0 and spawn.get_preparation_data == _hook.prepare:
                spawn.get_preparation_data = _hook.original


def refuse_in_child() -> None:
    """Refuse to start a cluster in a process that is only being started.

    Raises:
        RuntimeError: it is; in one sentence, what to do.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(ADVICE)
