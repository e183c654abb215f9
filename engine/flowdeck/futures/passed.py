"""What an argument may be in the place of its value, for type checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from flowdeck.annotations import Annotation
    from flowdeck.futures.future import TaskFuture
    from flowdeck.states import State

#: That any parameter may get one cannot be said of a signature. Of a direct call it is said of the
#: first two parameters, and of all when they are given by name; a task that is submitted may get
#: anything, so that no correct call is refused.
Passed: TypeAlias = "TaskFuture[Any] | State[Any] | Annotation[Any] | list[TaskFuture[Any]]"
