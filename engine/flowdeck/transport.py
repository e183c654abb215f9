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
import os
import pickle
import sys
import sysconfig
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import FlowdeckError
from flowdeck.transport_pickler import pickler_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from flowdeck.tasks import Task

_ATOMS: Final = frozenset({int, str, float, bool, bytes, type(None)})
_PROTOCOL: Final = 5
#: Functions that use functions of which one uses what cannot be pickled.
_DEEP: Final = 5
_OURS: Final = frozenset({"flowdeck", "flowdeck_store", "flowdeck_app"})
#: Attributes of a task that are computed from its function on arrival.
_COMPUTED: Final = frozenset({"_binder", "call_args", "__wrapped__"})


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


# -- whose modules -----------------------------------------------------------------------------------


class _Seen:
    """The user's modules among ``sys.modules``, looked for again when others were imported."""

    def __init__(self) -> None:
        self.state: tuple[int, str] = (-1, "")
        self.names: list[str] = []


_seen = _Seen()


def user_modules() -> list[ModuleType]:
    """Return the imported modules that are the user's own."""
    state = len(sys.modules), next(reversed(sys.modules))
    if _seen.state != state:
        _seen.names = [name for name, module in sys.modules.copy().items() if is_of_user(module)]
        _seen.state = state
    # By name: a module that was loaded again is another object.
    return [module for name in _seen.names if (module := sys.modules.get(name)) is not None]


def is_of_user(module: Any) -> bool:
    """Say whether a module is the user's own: its file belongs neither to Python, nor to an
    installed package, nor to flowdeck."""
    name = getattr(module, "__name__", None)
    file = getattr(module, "__file__", None)
    if not isinstance(name, str) or not isinstance(file, str) or name == "__main__":
        return False
    if name.partition(".")[0] in _OURS or not file.endswith(".py"):
        return False
    file = os.path.abspath(file)
    if file.startswith(_STDLIB):
        return False
    parts = file.split(os.sep)
    return "site-packages" not in parts and "dist-packages" not in parts


def _stdlib() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    places = {paths["stdlib"], paths["platstdlib"], os.path.dirname(os.__file__)}
    return tuple(os.path.join(place, "") for place in places)


_STDLIB: Final = _stdlib()


# -- tasks -----------------------------------------------------------------------------------------------

_default = Pickling()


def reduce_task(task: Task[Any, Any]) -> Any:
    """Return what pickles a task, for its ``__reduce__``.

    A pickler of this module gets the task's parts. Any other one gets opaque bytes, which neither
    need the task's module nor run into its name being the task and not the function.
    """
    if not _depth.inside:
        return load, (_default.dumps(task),)
    state = {name: value for name, value in vars(task).items() if name not in _COMPUTED}
    # The task exists before its state is read: functions may refer to their own task.
    return _blank, (type(task),), state, None, None, _fill


def load(data: bytes) -> Any:
    """Return what :meth:`Pickling.dumps` made the bytes from."""
    return Pickling.loads(data)


def _blank(kind: type[Task[Any, Any]]) -> Task[Any, Any]:
    return object.__new__(kind)


def _fill(task: Task[Any, Any], state: dict[str, Any]) -> None:
    vars(task).update(state)
    task._set_up()
    # The other machine's folders say nothing here: keep what the flow's process found.
    vars(task).update(state)
    task.__wrapped__ = task.fn  # type: ignore[attr-defined]


# -- explaining -----------------------------------------------------------------------------------------


def what_is_wrong(pickling: Pickling, value: Any) -> str:
    """Return the path of the part of a value that cannot be pickled, ``""`` if it is the whole."""
    from flowdeck.serializers import _culprit

    return _culprit(value, pickling.dumps)


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
