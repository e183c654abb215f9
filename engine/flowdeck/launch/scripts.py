"""Files that say themselves what they need: a ``# /// script`` block (PEP 723), and uv.

uv keeps an environment for each such file, as ``uv run FILE`` does: it makes it ready, and then tells
where its Python is. So a flow of the file runs there in the same way as in the environment of a project.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from flowdeck.exceptions import ConfigurationError

#: As the standard has it: the block's first line, lines of comments, the last line.
_BLOCK: Final = re.compile(r"^# /// script$\s(?:^#(?:| .*)$\s)+^# ///$", re.MULTILINE)
_MOST: Final = 2_000_000
#: Seconds for an environment that has to be downloaded.
_SECONDS: Final = 900.0
_SHOWN: Final = 500


def is_script(file: Path) -> bool:
    """Say whether a file has a block that says what it needs."""
    try:
        if file.stat().st_size > _MOST:
            return False
        content = file.read_bytes()
    except OSError:
        return False
    if b"# /// script" not in content:
        return False
    return _BLOCK.search(content.decode(errors="replace").replace("\r\n", "\n")) is not None


def python_of(file: Path) -> Path:
    """Return the Python of a script's environment, which uv makes ready (a moment if it is).

    Args:
        file: a script.

    Raises:
        ConfigurationError: there is no uv, or it cannot make the environment: with what to do.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise ConfigurationError(
            f"{file} says in its script block what it needs, which uv installs, and there is no uv here. "
            "Install uv, or name a Python that has it all: --python P."
        )
    _asked(uv, file, "sync", "--quiet")
    python = Path(_asked(uv, file, "python", "find").strip())
    if not python.is_file():
        raise ConfigurationError(f"uv has made no environment for {file}. {_TRY.format(file=file)}")
    return python


def found_python(file: Path) -> Path | None:
    """Return the Python of a script's environment as it is; ``None``: it was not made yet."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    try:
        python = Path(_asked(uv, file, "python", "find").strip())
    except ConfigurationError:
        return None
    # Of a script without one uv names the Python that it would be made of.
    return python if (python.parent.parent / "pyvenv.cfg").is_file() else None


_TRY: Final = "`uv sync --script {file}` shows what happens; --python P names another Python."


def _asked(uv: str, file: Path, *words: str) -> str:
    try:
        told = subprocess.run(
            [uv, *words, "--script", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except OSError as error:
        raise ConfigurationError(f"{uv} cannot be started: {error.strerror or error}.") from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"uv has not made the environment of {file} within {_SECONDS:g} s. {_TRY.format(file=file)}"
        ) from None
    if told.returncode:
        said = " ".join(told.stderr.split()).removeprefix("error: ")[:_SHOWN].rstrip(".")
        raise ConfigurationError(
            f"uv cannot make the environment of {file}: {said or told.returncode}. "
            f"{_TRY.format(file=file)}"
        )
    return told.stdout
