"""What cache keys are made of, for ``cache_policy=``: :data:`INPUTS`, :data:`TASK_SOURCE`,
:data:`RUN_ID`, :data:`FLOW_PARAMETERS`, joined by ``+``; ``INPUTS - "name"`` leaves an argument out.

The name of the task always counts: a policy never gives a task the result of another one. Keys are
computed as :func:`~flowdeck.caching.task_input_hash` does, of which ``INPUTS + TASK_SOURCE`` is
another name: what that cannot hash is not cached, and the run's log says why.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from flowdeck.caching import call_key
from flowdeck.values.previews import safe_repr
from flowdeck.values.statics import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    KeyFunction = Callable[[Any, dict[str, Any]], str | None]

__all__ = [
    "DEFAULT",
    "FLOW_PARAMETERS",
    "INPUTS",
    "NONE",
    "NO_CACHE",
    "RUN_ID",
    "TASK_SOURCE",
    "CachePolicy",
]


@dataclasses.dataclass(frozen=True)
class CachePolicy:
    """What the cache key of a task is made of; itself a ``cache_key_fn``.

    Made by adding the policies of this module, and :meth:`from_cache_key_fn`.
    """

    inputs: bool = False
    task_source: bool = False
    run_id: bool = False
    flow_parameters: bool = False
    #: Names of arguments that do not count.
    excluded: tuple[str, ...] = ()
    key_fns: tuple[KeyFunction, ...] = ()

    @staticmethod
    def from_cache_key_fn(fn: KeyFunction) -> CachePolicy:
        """Return a policy of a function of yours, to be added to others.

        Args:
            fn: called with (context, arguments); ``None`` as key: do not cache.

        Raises:
            TypeError: it cannot be called.
        """
        if not callable(fn):
            raise TypeError(f"Expected a function (context, arguments), got {type_name(fn)}.")
        return CachePolicy(key_fns=(fn,))

    def __add__(self, other: CachePolicy) -> CachePolicy:
        if not isinstance(other, CachePolicy):
            raise TypeError(
                f"{self!r} + {safe_repr(other)}: only cache policies can be added to one. One of a "
                "function is CachePolicy.from_cache_key_fn(function)."
            )
        return CachePolicy(
            self.inputs or other.inputs,
            self.task_source or other.task_source,
            self.run_id or other.run_id,
            self.flow_parameters or other.flow_parameters,
            tuple(dict.fromkeys(self.excluded + other.excluded)),
            tuple(dict.fromkeys(self.key_fns + other.key_fns)),
        )

    def __sub__(self, name: str) -> CachePolicy:
        if not isinstance(name, str):
            raise TypeError(
                f"{self!r} - {safe_repr(name)}: the name of an argument is what can be taken from a "
                "cache policy, one at a time: INPUTS - 'first' - 'second'."
            )
        if not self.inputs:
            raise ValueError(f"{self!r} - {name!r}: there are no INPUTS of which to leave one out.")
        return dataclasses.replace(self, excluded=tuple(dict.fromkeys((*self.excluded, name))))

    def __bool__(self) -> bool:
        """Say whether anything is cached."""
        return (
            self.inputs
            or self.task_source
            or self.run_id
            or self.flow_parameters
            or bool(self.key_fns)
        )

    def __call__(self, context: Any, arguments: dict[str, Any]) -> str | None:
        """Return the key of a call.

        Args:
            context: of the task run.
            arguments: the parameters by name.

        Returns:
            32 hex digits; ``None`` (do not cache) if something cannot be hashed, or a function that
            is part of the policy says so.

        Raises:
            TypeError: such a function returned something else; and whatever it raises.
        """
        if not self:
            return None
        more: list[tuple[str, str, Any]] = []
        if self.run_id:
            more.append(("run id", "the id of the run", context.task_run.flow_run_id))
        if self.flow_parameters:
            given = context.task_run.info.parameters
            more.append(("flow parameters", "a parameter of the flow", given))
        for number, key_fn in enumerate(self.key_fns):
            own = key_fn(context, arguments)
            if own is None:
                return None
            if not isinstance(own, str):
                raise TypeError(
                    f"{safe_repr(key_fn)}, part of the cache policy {self!r}, returned "
                    f"{type_name(own)}; it must return a str, or None for: do not cache."
                )
            more.append((f"key {number}", "a key", own))
        counted = {
            name: value
            for name, value in arguments.items()
            if self.inputs and name not in self.excluded
        }
        return call_key(context, counted, source=self.task_source, more=more)

    def __repr__(self) -> str:
        parts = [" - ".join(["INPUTS", *map(repr, self.excluded)])] if self.inputs else []
        flags = (
            ("TASK_SOURCE", self.task_source),
            ("RUN_ID", self.run_id),
            ("FLOW_PARAMETERS", self.flow_parameters),
        )
        parts += [name for name, is_part in flags if is_part]
        parts += [f"from_cache_key_fn({safe_repr(key_fn)})" for key_fn in self.key_fns]
        return " + ".join(parts) or "NO_CACHE"


#: The arguments, by content.
INPUTS: Final = CachePolicy(inputs=True)
#: The task's code and what it uses of the user's, as far as that can be told.
TASK_SOURCE: Final = CachePolicy(task_source=True)
#: The flow run: results are re-used inside of it only.
RUN_ID: Final = CachePolicy(run_id=True)
#: The parameters of the flow run.
FLOW_PARAMETERS: Final = CachePolicy(flow_parameters=True)
#: Nothing is cached.
NO_CACHE: Final = CachePolicy()
NONE: Final = NO_CACHE
#: Equal calls inside of one flow run.
DEFAULT: Final = INPUTS + TASK_SOURCE + RUN_ID
