"""Where a flow's file finds the modules beside it, without hiding Python's own."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Final

#: What they do when they are imported (print a poem, open a browser) nobody asked for.
_JOKES: Final = frozenset({"antigravity", "this"})


def put_first(folder: str) -> None:
    """Let imports look into ``folder`` first, as for a script in it.

    Unlike for a script, a file there that is named like a module of Python's (``secrets.py``) does
    not take that module's place: flowdeck and the libraries would get the user's file for it, at
    whatever moment they happen to import it. So what could be taken is imported now.

    Args:
        folder: goes to the front of ``sys.path``; empty: the working directory.
    """
    for name in sorted(_names(folder) & sys.stdlib_module_names - _JOKES - sys.modules.keys()):
        with contextlib.suppress(Exception):  # a part of Python that is not installed
            importlib.import_module(name)
    sys.path.insert(0, folder)


def _names(folder: str) -> set[str]:
    """Return what ``import`` may find in a folder."""
    try:
        return {name.removesuffix(".py") for name in os.listdir(folder or os.curdir)}
    except OSError:
        return set()
