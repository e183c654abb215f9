"""What somebody asked for who starts a flow: on the command line, in the app, or again.

One object goes the whole way. The command line and the launch dialog fill it in, it is recorded
with the run, it travels as JSON into a process of its own (in a file that only the user can read:
command lines can be read by everybody), and there the flow run takes its identity, name and tags
from it. It stands with the runs, as they read it; what fills it in stands above them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What to run and how: everything that ``flowdeck run`` takes.

    Attributes:
        target: ``file.py:flow`` or ``module:flow``; empty: code called the flow by itself.
        values: parameters as JSON values.
        texts: more parameters, as texts to be converted, like ``-p``.
        runner: name of a task runner instead of the one in the code.
        runner_options: as texts, like ``--runner-opt``.
        name: the run's name instead of a generated one.
        tags: added to the run's.
        rerun_of: uid of the run that this one repeats.
        reuse: task runs that completed in that run are not executed again, see
            :mod:`flowdeck.reuse.plan`.
        ignore_code: also those whose code was changed since.
        force: names of tasks, or of task runs, that are executed all the same.
        python: the Python to run it in: a path, the folder of an environment, a command.
        uid: 32 hex digits of a run that is recorded already and is to be taken over.
        after: uids of runs that have to have ended before it begins.
    """

    target: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    runner: str | None = None
    runner_options: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    tags: tuple[str, ...] = ()
    rerun_of: str | None = None
    reuse: bool = False
    ignore_code: bool = False
    force: tuple[str, ...] = ()
    python: str | None = None
    uid: str | None = None
    after: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return it as a JSON object: of what is not as it always is, as another version may read it.

        Raises:
            TypeError: a value is not one of JSON's.
        """
        usual = LaunchSpec()
        names = [each.name for each in dataclasses.fields(self)]
        given = {name: getattr(self, name) for name in names}
        return json.dumps({k: v for k, v in given.items() if v != getattr(usual, k)})

    @classmethod
    def from_json(cls, text: str | bytes) -> LaunchSpec:
        """Return what :meth:`to_json` made the text from.

        Raises:
            ValueError: it is not JSON.
            TypeError: it is another object.
        """
        found = json.loads(text)
        lists = {name: tuple(found[name]) for name in ("tags", "force", "after") if name in found}
        return cls(**{**found, **lists})


_requested: ContextVar[LaunchSpec | None] = ContextVar("flowdeck_run_request", default=None)


@contextlib.contextmanager
def requested(spec: LaunchSpec) -> Iterator[None]:
    """Hand ``spec`` to the next root flow run inside the block."""
    token = _requested.set(spec)
    try:
        yield
    finally:
        _requested.reset(token)


def take_requested() -> LaunchSpec:
    """Return what was asked for and use it up (an empty one if there is nothing)."""
    found = _requested.get()
    if found is None:
        return LaunchSpec()
    _requested.set(None)
    return found
