"""What a Python says of itself: its version, and the flowdeck that it would import."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Passport:
    """What a Python says of itself.

    Attributes:
        version: such as "3.12.1".
        flowdeck: version of the flowdeck that it would import; ``None``: it has none.
        schema: the newest version of the record that this flowdeck knows; ``None``: not known.
        problem: why it does not say anything, or nothing that helps; ``""``: it does.
    """

    version: str = ""
    flowdeck: str | None = None
    schema: int | None = None
    problem: str = ""


def examine(python: Path, environment: Path) -> Passport:
    """Ask a Python: one short process, and another one when something was installed there.

    Args:
        python: its executable.
        environment: the folder of its environment.
    """
    return _examined(python, _changed(environment))


_QUESTION: Final = """
import json, sys
said = {"version": "%d.%d.%d" % sys.version_info[:3]}
try:
    import anyio, click  # a path to our files alone is no installation
    from flowdeck.version import __version__ as said_version
    said["flowdeck"] = said_version
    from flowdeck_store.file.schema import SCHEMA_VERSION
    said["schema"] = SCHEMA_VERSION
except Exception:
    pass
print(json.dumps(said))
"""


@functools.lru_cache(maxsize=64)
def _examined(python: Path, _: tuple[float, ...]) -> Passport:
    try:
        told = subprocess.run(
            [str(python), "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            cwd=os.sep,  # -c looks for modules in the working directory first
            check=False,
        )
        return Passport(**json.loads(told.stdout))
    except OSError as error:
        return Passport(problem=f"cannot be started: {error.strerror or error}.")
    except subprocess.TimeoutExpired:
        return Passport(problem=f"did not answer within {_SECONDS:g} s.")
    except (ValueError, TypeError):
        return Passport(problem="does not answer as a Python does.")


def _changed(environment: Path) -> tuple[float, ...]:
    """Return what changes when something is installed there."""
    times = []
    for place in sorted(environment.glob("lib*/python*/site-packages")):
        try:
            times.append(place.stat().st_mtime)
        except OSError:
            continue
    return tuple(times)
