"""The engine's threads that users' code may run on.

They are daemon threads: what cannot be stopped must not keep the process alive. Threads that code
starts are daemons, too, if the thread that starts them is one. Users' threads must not become that
because the runner, a time limit or an ``async def`` moved their function off the main thread: a
process waits at its end for a thread that a plain function started.
"""

from __future__ import annotations

import sys
import threading


class EngineThread(threading.Thread):
    """Nobody waits for it at the end of the process; for what is started on it, it is an ordinary
    thread."""

    def run(self) -> None:
        bear_ordinary_threads()
        try:
            super().run()
        finally:
            bear_ordinary_threads(False)


class LoopThread(EngineThread):
    """One whose event loop lives as long as the process.

    What is started on it is ordinary, but for worker threads of anyio's: those end with the loop,
    so a process that waits for them would never end.
    """

    @property
    def daemon(self) -> bool:  # type: ignore[override] # asked by the constructor of each thread
        asking = sys._getframe(1)
        if asking.f_code is threading.Thread.__init__.__code__:
            if type(asking.f_locals["self"]).__module__.partition(".")[0] == "anyio":
                return True
        return bool(super().daemon)


def engine_thread(name: str, target: object, *args: object) -> EngineThread:
    """Return such a thread, not started."""
    return EngineThread(target=target, args=args, name=name, daemon=True)  # type: ignore[arg-type]


def bear_ordinary_threads(ordinary: bool = True) -> None:
    """Have what the calling thread starts from now on be no daemon (or be one again).

    Whether the process waits for the calling thread itself was settled when that was started.
    """
    threading.current_thread()._daemonic = not ordinary  # type: ignore[attr-defined]
