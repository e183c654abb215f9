"""The process that a run executes in.

What may change is noted when the run starts (:func:`snapshot`, microseconds); what becomes of it, and
what stays the same, is worked out beside the run: the first time, with the modules that it needs, that
takes longer than a short run.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.redaction import HIDDEN, concealed, names_in_force, without_secret_arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Variables whose values are recorded; of all others only the names (shell patterns). What decides
#: what is found and how it behaves, and nothing that anybody uses to hand over a secret.
SHOWN: Final = (
    "PATH", "*_PATH", "PYTHON*", "FLOWDECK_*", "VIRTUAL_ENV", "CONDA_DEFAULT_ENV", "LANG", "LC_*",
    "TZ", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
    "SLURM_JOB_ID",
)  # fmt: skip
#: Characters of a value, words of a command line, and names of variables that are kept.
_VALUE: Final = 4096
_WORDS: Final = 200
_NAMES: Final = 500


@dataclass(frozen=True, slots=True)
class ProcessSnapshot:
    """What may be otherwise in the next moment."""

    argv: list[str]
    cwd: str | None
    variables: Mapping[str, str]


def snapshot() -> ProcessSnapshot:
    """Return what is so now."""
    return ProcessSnapshot(sys.argv[:_WORDS], _folder(), dict(os.environ))


def process_facts(then: ProcessSnapshot, more: Iterable[str] = ()) -> dict[str, Any]:
    """Return what there is to know of this process.

    Args:
        then: what was so when the run started.
        more: names of further variables whose values are recorded (shell patterns).

    Raises:
        ConfigurationError: the settings cannot be read.
    """
    return {
        **_interpreter(),
        "argv": without_secret_arguments(then.argv, names_in_force()),
        "cwd": then.cwd,
        "user": _user(),
        **environment(then.variables, tuple(more)),
    }


def environment(variables: Mapping[str, str], more: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return values of the chosen variables, and the names of the others."""
    hides = names_in_force()
    shown: dict[str, str] = {}
    names: list[str] = []
    for name in sorted(variables):
        if not _is_shown(name, more):
            names.append(name[:200])
        elif hides is not None and hides(name):
            shown[name] = HIDDEN
        else:
            shown[name] = concealed(variables[name][:_VALUE])
    return {"env": shown, "env_names": names[:_NAMES]}


@functools.lru_cache(maxsize=4096)
def _is_shown(name: str, more: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in (*SHOWN, *more))


@functools.cache
def _interpreter() -> dict[str, str]:
    import platform

    system = platform.uname()  # platform.platform() reads the interpreter's file for the libc
    return {
        "executable": sys.executable,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{system.system} {system.release} {system.machine}",
        "host": system.node,
    }


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


@functools.cache
def _user() -> str | None:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a number that no list of users has
        return None
