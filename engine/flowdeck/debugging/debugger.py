"""The debugger: pdb, or the one that ``PYTHONBREAKPOINT`` names, at the user's own frame.

An exception mostly comes out of a library that the user's code called, and what is wrong is in the
user's frame above. So pdb starts there; ``down`` leads into the library. The frames of the engine,
which called the function, are cut off.
"""

from __future__ import annotations

import bdb
import contextlib
import importlib
import os
import pdb  # noqa: T100 - it is what this module is about
import sys
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple

from flowdeck.failures.frames import Place
from flowdeck.lifecycle.steps import finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType, TracebackType


class Debugger(NamedTuple):
    """What shows a traceback, and what is to be said of the choice first, if anything."""

    name: str
    post_mortem: Callable[[Any], Any]
    remark: str | None = None


def chosen(environment: Mapping[str, str] = os.environ) -> Debugger:
    """Return the debugger that ``PYTHONBREAKPOINT`` (``ipdb.set_trace``, say) names, else pdb."""
    named = environment.get("PYTHONBREAKPOINT", "")
    module = named.rpartition(".")[0]
    if not module or module in {"pdb", "sys"}:
        return Debugger("pdb", post_mortem)
    try:
        found = getattr(importlib.import_module(module), "post_mortem", None)
        reason = f"{module} has no post_mortem"
    except Exception as error:
        found, reason = None, f"{type(error).__name__}: {error}"
    if not callable(found):
        remark = f"PYTHONBREAKPOINT names {named}, but {reason}: this is pdb."
        return Debugger("pdb", post_mortem, remark)
    return Debugger(module, found)


def from_user(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame of the user's code on; all of it if there is none."""
    level = traceback
    while level is not None:
        if _place(level).is_user:
            return level
        level = level.tb_next
    return traceback


def _place(level: TracebackType) -> Place:
    return Place(level.tb_frame, level.tb_lineno or 0, level.tb_lasti, 0)


def _last_of_user(traceback: TracebackType | None) -> FrameType | None:
    found, level = None, traceback
    while level is not None:
        if _place(level).is_user:
            found = level.tb_frame
        level = level.tb_next
    return found


class PostMortem(pdb.Pdb):
    """Pdb that starts at the last frame of the user's code."""

    def setup(self, f: FrameType | None, tb: TracebackType | None) -> Any:
        """Choose the frame after pdb has chosen the innermost one."""
        done = super().setup(f, tb)
        wanted = _last_of_user(tb)
        for index, (frame, _) in enumerate(self.stack):
            if frame is wanted:
                self.curindex, self.curframe = index, frame
                with contextlib.suppress(AttributeError):  # newer ones work it out
                    self.curframe_locals = frame.f_locals
        return done


def post_mortem(traceback: TracebackType) -> None:
    """Open pdb at a traceback."""
    debugger = PostMortem()
    debugger.reset()
    debugger.interaction(None, traceback)


class Watched:
    """Calls a function so that pdb can be left: leaving it ends the function, and is no failure.

    Args:
        is_stepping: pdb stops at the function's first line.

    Attributes:
        has_quit: the user left the debugger while the function ran.
    """

    def __init__(self, *, is_stepping: bool = False) -> None:
        self.is_stepping, self.has_quit = is_stepping, False

    def wrapped(self, fn: Callable[..., Any], is_async: bool) -> Callable[..., Any]:
        """Return what is to be called instead of a function (``is_async``: it gives an awaitable, or
        an async generator).

        Generators give their items here, while they are watched, and without a frame of ours in
        between: pdb would take that for the one to start from, and stop before the user's line.
        """

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._watching():
                value = fn(*args, **kwargs)
                return list(value) if type(value) is GeneratorType else finished(value)

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with self._watching():
                value = fn(*args, **kwargs)
                if type(value) is not AsyncGeneratorType:
                    value = await value
                if type(value) is not AsyncGeneratorType:
                    return finished(value)
                items: list[Any] = []
                trace = sys.gettrace()
                sys.settrace(None)  # asyncio's hook for new generators is none of the user's code
                step = value.__anext__()
                sys.settrace(trace)
                try:
                    while True:
                        items.append(await step)
                        step = value.__anext__()
                except StopAsyncIteration:
                    return items
                finally:
                    await value.aclose()

        return call_async if is_async else call

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            if self.is_stepping:
                debugger = pdb.Pdb()
                debugger.reset()  # it stops in the next frame of the user's that begins
                debugger.skip = {"contextlib", "flowdeck.*"}
                sys.settrace(debugger.trace_dispatch)
            yield
        except bdb.BdbQuit:
            self.has_quit = True
        finally:
            if self.is_stepping:
                sys.settrace(None)
