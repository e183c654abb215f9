"""A task run as bytes, made in the flow's process."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.annotations import Annotation
from flowdeck.definitions.hooks import HookList
from flowdeck.inputs import nested
from flowdeck.lifecycle.task import is_result_written
from flowdeck.remote.pickling import (
    Pickling,
    UnpicklableInput,
    are_atoms,
    what_is_wrong,
    wrong_in_function,
)
from flowdeck.remote.shares import BIG, Share, Shares, has_big_text
from flowdeck.remote.values import Carried, Given, Input
from flowdeck.runs.task_run import Slots
from flowdeck.runs.upstreams import value_of
from flowdeck.settings import get_settings
from flowdeck.states import State
from flowdeck.values.statics import is_a, type_name
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.definitions.bases import TaskDefinition
    from flowdeck.remote.parts import Part
    from flowdeck.runs.task_run import FlowRunInfo, TaskRun

#: Bytes of all parameters of a flow run that its tasks can see on workers.
_FLOW_PARAMETERS: Final = 64 * 1024
_FLOW_PARAMETER: Final = 4 * 1024
#: Settings that matter where tasks execute. The console is the flow's process's.
_SETTINGS: Final = (
    "log_level",
    "log_prints",
    "extra_loggers",
    "refresh_cache",
    "result_preview",
    "input_warning_seconds",
    "left_behind_seconds",
    "stall_seconds",
    "redact",
)
#: Nothing of users' is in these: Python's own pickler does, at a twentieth of the cost.
_PLAIN: Final = frozenset({Input, int, float, bool, str, bytes, type(None)})
_NO_HOOKS: Final = HookList("on_rollback", None, ())


class BlockedError(Exception):
    """An upstream did not complete, so that there is nothing to send."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        super().__init__(uid)


@dataclass(frozen=True, slots=True)
class Payload:
    """What :func:`flowdeck.remote.worker.execute` takes.

    Attributes:
        code: the task and its flow run; the same object for all runs of the task.
        head: this task run.
        inputs: the engine's handles of the upstreams whose values it needs.
        waits: the upstream runs that had not ended, each with whether its failure is allowed.
        keeps: the flow's process will keep, or drop, and record the result.
        shares: what must stay on the cluster until it has ended.
    """

    code: bytes
    head: bytes
    inputs: tuple[Any, ...]
    waits: tuple[tuple[TaskRun, bool], ...]
    keeps: bool
    shares: tuple[Share, ...] = ()


class Packer:
    """Makes payloads of the task runs of one flow run.

    Args:
        pickling: the engine's flavour.
        handle_of: returns the engine's handle whose value is, or will be, that of a task run or
            state; ``None`` if there is none.
        put: puts a part on the cluster, and returns the engine's handle of it.
    """

    def __init__(
        self,
        pickling: Pickling,
        handle_of: Callable[[Any], Any],
        put: Callable[[Part], Any],
    ) -> None:
        self._pickling = pickling
        self._handle_of = handle_of
        #: Big arguments that runs have in common.
        self.shares = Shares(pickling, put)
        self._info: tuple[int, bytes] | None = None
        self._codes: dict[tuple[Any, ...], tuple[TaskDefinition[Any, Any], bytes]] = {}

    def pack(
        self, run: TaskRun, *, retries: int | None = None, hands_back: bool = False
    ) -> Payload:
        """Return the payload of a task run.

        Args:
            run: it was admitted, and its foreign upstreams have ended.
            retries: more of them than the task itself asks for.
            hands_back: an attempt that is to be tried again comes home, for others wait behind it.

        Raises:
            UnpicklableInput: an argument, or the function, cannot be pickled.
            BlockedError: an upstream did not complete.
        """
        links = _Links(self._handle_of, run, self.shares)
        parameters = run.parameters or {}
        if nested.needs_look(parameters) or has_big_text(parameters.values()):
            parameters = {name: links.put_in(name, value) for name, value in parameters.items()}
        keeps = is_result_written(run) or not run.task.cache_result_in_memory
        facts = (
            run.info.uid,
            run.no,
            run.index,
            run.name,
            tuple(run.tags),
            tuple(links.allowed),
            tuple(links.uids),
            keeps,
            hands_back or run.slots is Slots.HELD,
            run.run_count,
            run.started_us,
        )
        body = self._body(run, parameters)
        # An attempt before may have given it its name, too.
        named = run.is_named or run.run_count > 0
        return Payload(
            self._code(run, retries, named),
            pickle.dumps((facts, body), 5),
            tuple(links.handles),
            tuple(links.waits),
            keeps,
            tuple(links.shares),
        )

    def _body(self, run: TaskRun, parameters: dict[str, Any]) -> bytes | dict[str, Any]:
        """Return the parameters as bytes; as they are if they are no more than numbers and texts."""
        if are_atoms(parameters.values()) and not has_big_text(parameters.values()):
            return parameters
        try:
            if all(type(value) in _PLAIN for value in parameters.values()):
                body = pickle.dumps(parameters, 5)
            else:
                body = self._pickling.dumps(parameters)
        except Exception as problem:
            raise self._explain(run, parameters, problem) from problem
        if len(body) >= BIG:
            self.shares.note(run, run.parameters or {}, len(body))
        return body

    def _explain(
        self, run: TaskRun, parameters: dict[str, Any], problem: Exception
    ) -> UnpicklableInput:
        for name, value in parameters.items():
            try:
                self._pickling.dumps(value)
            except Exception as its_problem:
                value = value.value if is_a(value, Annotation) else value
                part = what_is_wrong(self._pickling, value)
                where = f" (its part {part})" if part else ""
                return UnpicklableInput(
                    f"argument {name!r} of task {run.task.name!r}, a {type_name(value)}, cannot be "
                    f"sent to a worker{where}: {type(its_problem).__name__}: {its_problem}. Pass "
                    "what the task needs to make it there (a path, an address)."
                )
        return UnpicklableInput(
            f"the arguments of task {run.task.name!r} cannot be sent to a worker together: "
            f"{type(problem).__name__}: {problem}."
        )

    # -- code ---------------------------------------------------------------------------------------

    def _code(self, run: TaskRun, retries: int | None, named: bool) -> bytes:
        info = self._info_bytes(run.info)
        key = id(run.task), retries, named, run.info.run_count
        known = self._codes.get(key)
        if known is None:
            code = pickle.dumps((info, self._task(run.task, retries, named)))
            # The task is kept too: its id must not be given to another one.
            known = self._codes[key] = run.task, code
        return known[1]

    def _task(self, task: TaskDefinition[Any, Any], retries: int | None, named: bool) -> bytes:
        """Return the task as workers have it: keeping results and caching are not theirs."""
        there = object.__new__(type(task))
        vars(there).update(vars(task))
        there.cache_key_fn = there.cache_policy = None
        # They are called here: nothing that they use has to travel.
        there.on_rollback = there.on_commit = _NO_HOOKS
        there.persist_result = False
        there.cache_result_in_memory = True
        if named:
            there.task_run_name = None
        if retries is not None:
            there.retries = max(task.retries, retries)
        try:
            return self._pickling.dumps(there)
        except Exception as problem:
            raise UnpicklableInput(
                f"the function of task {task.name!r} cannot be sent to a worker: "
                f"{type(problem).__name__}: {problem}{wrong_in_function(self._pickling, task.fn)}. "
                "Make such things inside the function, or pass them as arguments."
            ) from problem

    def _info_bytes(self, info: FlowRunInfo) -> bytes:
        if self._info is None or self._info[0] != info.run_count:
            settings = get_settings()
            chosen = {name: getattr(settings, name) for name in _SETTINGS}
            parameters = self._sendable(info.parameters)
            sent = dataclasses.replace(info, parameters=parameters, persist_result=False)
            self._info = info.run_count, self._pickling.dumps((sent, {**chosen, "console": False}))
        return self._info[1]

    def _sendable(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a flow's parameters; those that are big or cannot be pickled as ``<TypeName>``."""
        sendable: dict[str, Any] = {}
        room = _FLOW_PARAMETERS
        for name, value in parameters.items():
            try:
                size = len(self._pickling.dumps(value))
            except Exception:
                size = room
            fits = size <= min(room, _FLOW_PARAMETER)
            sendable[name] = value if fits else f"<{type_name(value)}>"
            room -= size if fits else 0
        return sendable


class _Links:
    """Collects the upstreams of one task run while stand-ins are put in their places."""

    def __init__(self, handle_of: Callable[[Any], Any], run: TaskRun, shares: Shares) -> None:
        self._handle_of = handle_of
        self._run = run
        self._shares = shares
        self._index: dict[int, int] = {}
        self._is_allowed: dict[int, bool] = {}
        self.handles: list[Any] = []
        self.allowed: list[bool] = []
        self.uids: list[str] = []
        self.waits: list[tuple[TaskRun, bool]] = []
        self.shares: list[Share] = []

    def put_in(self, name: str, value: Any) -> Any:
        """Return what an argument travels as."""
        share = self._shares.find(self._run, name, value)
        if share is not None:
            return self._shared(share)
        if type(value) in nested.ATOMIC:
            return value
        found = nested.find(value)
        if not found:
            # Marks are taken off where the task executes.
            return self._items_shared(name, value) if self._shares.looks_into(value) else value
        for item, allowed in found:
            known = self._is_allowed.get(id(item), True)
            self._is_allowed[id(item)] = known and allowed
        return nested.replace(value, self._stand_in, unwrap=False)

    def _items_shared(self, name: str, value: Any) -> Any:
        """Return a small container with what stands for those of its items that are shared."""
        is_dict = type(value) is dict
        items = []
        changed = False
        for item in value.values() if is_dict else value:
            share = self._shares.find(self._run, name, item, whole=False)
            if share is not None:
                new = self._shared(share)
            else:
                new = self._items_shared(name, item) if self._shares.looks_into(item) else item
            changed = changed or new is not item
            items.append(new)
        if not changed:
            return value
        return dict(zip(value, items, strict=True)) if is_dict else type(value)(items)

    def _shared(self, share: Share) -> Input:
        self.shares.append(share)
        return self._linked(id(share), share.handle, False, "", None)

    def _stand_in(self, item: Any) -> Any:
        allowed = self._is_allowed[id(item)]
        if not isinstance(item, State):
            run: TaskRun = item.task_run
            # The handle first: the run may end between the two looks.
            handle = self._handle_of(run)
            if not run.is_final and handle is not None:
                return self._linked(id(run), handle, allowed, run.uid, run)
            item = run.state
        return self._ended(item, allowed)

    def _ended(self, state: State[Any], allowed: bool) -> Any:
        if state.type is not StateType.COMPLETED and not allowed:
            details = state.state_details
            raise BlockedError(details.task_run_id or details.flow_run_id or str(state))
        known = state.type in (StateType.COMPLETED, StateType.FAILED)  # to the engine
        handle = self._handle_of(state) if known else None
        if handle is not None:
            uid = state.state_details.task_run_id or ""
            return self._linked(id(state), handle, allowed, uid, None)
        data = state.data
        if is_a(data, Carried):
            return data.as_input()
        return Given(value_of(state))

    def _linked(self, key: int, handle: Any, allowed: bool, uid: str, run: TaskRun | None) -> Input:
        index = self._index.get(key)
        if index is None:
            index = self._index[key] = len(self.handles)
            self.handles.append(handle)
            self.allowed.append(allowed)
            self.uids.append(uid)
            if run is not None:
                self.waits.append((run, allowed))
        elif not allowed:
            self.allowed[index] = False
        return Input(index)
