"""Tasks and values as bytes that processes can read which cannot import the user's modules.

Functions and classes of the user's own modules (``__main__``, files loaded by path, modules beside
the flow's file) travel by value, so a worker needs only what is installed on both sides, and always
runs the code that the flow sees. Where that fails (a module that holds a lock, say) they travel by
reference, for workers that can import them.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import pickle
import sys
import threading
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from flowdeck import once
from flowdeck.exceptions import FlowdeckError
from flowdeck.remote.pickler import is_installed, pickler_class
from flowdeck.values.of_user import user_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from flowdeck.definitions.bases import FlowDefinition, TaskDefinition

_ATOMS: Final = frozenset({int, str, float, bool, bytes, type(None)})
_PROTOCOL: Final = 5
#: Functions that use functions of which one uses what cannot be pickled.
_DEEP: Final = 5
#: Attributes of a task or flow that are computed from its function on arrival.
_COMPUTED: Final = frozenset({"binder", "call_args", "__wrapped__"})


def are_atoms(values: Iterable[Any]) -> bool:
    """Say whether all values are such that any pickler does, and every process has their types."""
    return all(type(value) in _ATOMS for value in values)


class UnpicklableInput(FlowdeckError, TypeError):
    """An argument or the function of a task cannot be sent to another process; says which."""


class _Depth(threading.local):
    """Whether this thread is inside :meth:`Pickling.dumps`."""

    inside = False


_depth = _Depth()


class Pickling:
    """Pickles by value what other processes may not be able to import.

    Args:
        module: the flavour of cloudpickle; the classes that one flavour sent are recognised when
            they come back through the same flavour only.
    """

    def __init__(self, module: str = "cloudpickle") -> None:
        self.module = module
        self._lock = threading.Lock()
        self._active = 0
        self._registered: list[ModuleType] = []

    def dumps(self, value: Any, buffers: Callable[[Any], Any] | None = None) -> bytes:
        """Return the value as bytes.

        Args:
            value: anything.
            buffers: takes the big buffers that shall stay out of the bytes (``pickle`` protocol 5).

        Raises:
            Exception: what pickling raised; often ``TypeError`` or ``pickle.PicklingError``.
        """
        if type(value) in _ATOMS:
            return pickle.dumps(value, _PROTOCOL)
        with self.by_value():
            try:
                return self._dumps(value, buffers)
            except Exception as by_value:
                problem = by_value
        if buffers is not None:
            raise problem  # some buffers were handed out already
        try:
            return self._dumps(value, None)
        except Exception:
            raise problem from None

    def _dumps(self, value: Any, buffers: Any) -> bytes:
        with inside():
            file = io.BytesIO()
            self.pickler(file, buffers).dump(value)
            return file.getvalue()

    def pickler(self, file: Any, buffers: Callable[[Any], Any]) -> Any:
        """Return a pickler that writes to ``file``; to be used in :meth:`by_value` and
        :func:`inside`."""
        return pickler_class(self)(file, protocol=_PROTOCOL, buffer_callback=buffers)

    @staticmethod
    def loads(data: Any, buffers: Any = ()) -> Any:
        """Return the value that :meth:`dumps` made the bytes from; raises what unpickling raises."""
        return pickle.loads(data, buffers=buffers)

    @contextlib.contextmanager
    def by_value(self) -> Iterator[None]:
        """Let the user's modules be pickled by value inside the block.

        Only for that long: what else the process pickles is none of our business.
        """
        cloudpickle = importlib.import_module(self.module)
        with self._lock:
            self._active += 1
            if self._active == 1:
                self._registered = _register(cloudpickle)
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
                if self._active == 0:
                    for module in self._registered:
                        with contextlib.suppress(ValueError):  # the user took it out meanwhile
                            cloudpickle.unregister_pickle_by_value(module)


def _register(cloudpickle: Any) -> list[ModuleType]:
    before = cloudpickle.list_registry_pickle_by_value()
    registered = []
    for module in user_modules():
        name = module.__name__
        if name not in before and sys.modules.get(name) is module:
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
    return registered


@contextlib.contextmanager
def inside() -> Iterator[None]:
    """Mark that a pickler that knows functions by value is at work in this thread."""
    before, _depth.inside = _depth.inside, True
    try:
        yield
    finally:
        _depth.inside = before


# -- tasks -----------------------------------------------------------------------------------------------

_default = Pickling()


def reduce_definition(definition: TaskDefinition[Any, Any] | FlowDefinition[Any, Any]) -> Any:
    """Return what pickles a task or flow, for its ``__reduce__``.

    A pickler of this module gets its parts. Any other one gets opaque bytes, which neither need its
    module nor run into its name being the task and not the function.
    """
    if not _depth.inside:
        return load, (_default.dumps(definition),)
    state = {name: value for name, value in vars(definition).items() if name not in _COMPUTED}
    # It exists before its state is read: functions may refer to their own task.
    return _blank, (type(definition),), state, None, None, _fill


def load(data: bytes) -> Any:
    """Return what :meth:`Pickling.dumps` made the bytes from."""
    return Pickling.loads(data)


def _blank(kind: type[Any]) -> Any:
    return object.__new__(kind)


def _fill(definition: Any, state: dict[str, Any]) -> None:
    vars(definition).update(state)
    definition.set_up()
    # The other machine's folders say nothing here: keep what the flow's process found.
    vars(definition).update(state)
    definition.__wrapped__ = definition.fn


# -- values that are made once -------------------------------------------------------------------------


def _reduce_once(function: once.OncePerWorker[Any, Any]) -> Any:
    """Return what pickles a function whose value is made once in each process."""
    if is_installed(function):
        return function.__qualname__  # type: ignore[attr-defined]
    if function.sent is None:  # from now on it is what it was when it was first sent
        data = _default.dumps((function.fn, function.closes))
        once.known[_digest(data)] = function
        function.sent = data
    return load_once, (function.sent,)


def load_once(data: bytes) -> once.OncePerWorker[Any, Any]:
    """Return the function that these bytes are, which is one for the whole process."""
    digest = _digest(data)
    found = once.known.get(digest)
    if found is None:
        made = once.OncePerWorker(*_default.loads(data))
        made.came, made.sent = True, data
        found = once.known.setdefault(digest, made)
    return found


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


once.reducer[:] = [_reduce_once]


# -- explaining -----------------------------------------------------------------------------------------


def what_is_wrong(pickling: Pickling, value: Any) -> str:
    """Return the path of the part of a value that cannot be pickled, ``""`` if it is the whole."""
    from flowdeck.serializers import unencodable_part

    return unencodable_part(value, pickling.dumps)


def wrong_in_function(pickling: Pickling, fn: Any) -> str:
    """Return which variable that a function uses cannot be pickled, as the end of a sentence."""
    path: list[str] = []
    while (found := _wrong_variable(pickling, fn)) is not None and len(path) < _DEEP:
        name, fn = found
        path.append(f"it uses {name!r}" if not path else f"which uses {name!r}")
    return f" ({', '.join(path)}, a {type(fn).__name__})" if path else ""


def _wrong_variable(pickling: Pickling, fn: Any) -> tuple[str, Any] | None:
    code = getattr(fn, "__code__", None)
    if code is None:
        return None
    cells = zip(code.co_freevars, fn.__closure__ or (), strict=False)
    used = {name: cell.cell_contents for name, cell in cells if _is_set(cell)}
    names = [name for name in code.co_names if name in fn.__globals__ and name not in used]
    used.update((name, fn.__globals__[name]) for name in names)
    for name, value in used.items():
        try:
            if value is not fn:
                pickling.dumps(value)
        except Exception:
            return name, value
    return None


def _is_set(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - looking is the question
    except ValueError:
        return False
    return True
