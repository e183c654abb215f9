"""What is the user's own code: neither Python's, nor an installed package's, nor flowdeck's.

It travels to workers by value, and it is what a digest of a function looks into.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import ModuleType

_OURS: Final = frozenset({"flowdeck", "flowdeck_store", "flowdeck_app"})


class _Seen:
    """The user's modules among ``sys.modules``, looked for again when others were imported."""

    def __init__(self) -> None:
        self.state: tuple[int, str, int] = (-1, "", 0)
        #: Their names, and which object each was: one that was loaded again is another.
        self.modules: dict[str, int] = {}


_seen = _Seen()


def user_modules() -> list[ModuleType]:
    """Return the imported modules that are the user's own."""
    last = next(reversed(sys.modules))
    state = len(sys.modules), last, id(sys.modules.get(last))
    if _seen.state != state:
        modules = sys.modules.copy()
        _seen.modules = {name: id(m) for name, m in modules.items() if is_of_user(m)}
        _seen.state = state
    return [
        module
        for name, known in _seen.modules.items()
        if (module := sys.modules.get(name)) is not None
        and (id(module) == known or is_of_user(module))
    ]


def is_of_user(module: Any) -> bool:
    """Say whether a module is the user's own: its file belongs neither to Python, nor to an
    installed package, nor to flowdeck."""
    name = getattr(module, "__name__", None)
    file = getattr(module, "__file__", None)
    if not isinstance(name, str) or not isinstance(file, str) or name == "__main__":
        return False
    if name.partition(".")[0] in _OURS or not file.endswith(".py"):
        return False
    return is_file_of_user(file)


@functools.cache
def is_file_of_user(file: str) -> bool:
    """Say whether code from this file is the user's own: typed in counts, what is installed does
    not."""
    if file.startswith("<frozen "):
        return False
    file = os.path.abspath(file)
    if file.startswith((*_STDLIB, _HERE)):
        return False
    parts = file.split(os.sep)
    return "site-packages" not in parts and "dist-packages" not in parts


def _stdlib() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    places = {paths["stdlib"], paths["platstdlib"], os.path.dirname(os.__file__)}
    return tuple(os.path.join(place, "") for place in places)


_STDLIB: Final = _stdlib()
_HERE: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
