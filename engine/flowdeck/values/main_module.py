"""What the script that this process runs is called.

Python takes a script's ``__file__`` away when it has come to its end, while threads beside it may
still have to say what its functions are called. So this is imported, and the name taken, when a run
starts.
"""

from __future__ import annotations

import os
import sys
from typing import Final


def stem_of(file: str) -> str:
    """Return what a module is called after its file: the same whoever imported it, and how."""
    stem, _ = os.path.splitext(os.path.basename(file))
    return os.path.basename(os.path.dirname(file)) if stem == "__init__" else stem


def _main_now() -> str:
    file = vars(sys.modules["__main__"]).get("__file__")
    return stem_of(file) if isinstance(file, str) and file else "__main__"


#: The stem of the script's file; ``__main__`` where there is none.
MAIN: Final = _main_now()
