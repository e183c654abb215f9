"""The git repository that the flow's file lies in: commit, branch, and what was changed since.

Asked of ``git`` itself, which knows worktrees, submodules and its own formats best. Never by way of
anything that the repository could make it run: no hooks, file watchers, external diffs or text filters.
It takes no locks, asks nothing, and each call has a time limit; where one is over, what it would have
said is unknown.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.redaction import names_in_force

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds that one call of git may take.
SECONDS: Final = 2.0
#: Bytes of the diff that are kept, and changed files that are named.
MOST: Final = 65_536
_FILES: Final = 100
_SAFE: Final = (
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat",
    "-c", "core.quotePath=false",
)  # fmt: skip
_DIFF: Final = (
    "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules",
    "--unified=3",  # what hides secrets has to see the lines around one
)  # fmt: skip


def repository(
    folder: str, seconds: float = SECONDS, program: str = "git"
) -> tuple[dict[str, Any], str | None]:
    """Return what there is to know of the repository around a folder, and the diff of its tracked files.

    Args:
        folder: any folder inside of it.
        seconds: that one call may take.
        program: what to call.

    Returns:
        ``root``, ``commit``, ``branch`` (``None``: detached), ``dirty`` (``None``: not known in time)
        and ``files`` (the changed ones); ``{}`` where there is no repository, no git, or no answer. The
        diff is cut at :data:`MOST` bytes and says so; secrets in it are hidden.
    """

    def ask(*words: str, most: int = 1 << 20) -> bytes | None:
        return _ask([program, *_SAFE, "-C", folder, *words], seconds, most)

    head = ask("rev-parse", "--show-toplevel", "HEAD")
    lines = (head or b"").decode(errors="replace").splitlines()
    if len(lines) != 2:
        return {}, None
    branch = ask("symbolic-ref", "--short", "-q", "HEAD")
    found: dict[str, Any] = {
        "root": lines[0],
        "commit": lines[1],
        "branch": (branch or b"").decode(errors="replace").strip() or None,
        "dirty": None,
    }
    changed = ask("status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules")
    if changed is None:
        return found, None
    found["dirty"] = bool(changed)
    if not changed:
        return found, None
    found["files"] = _files(changed)
    return found, _shown(ask(*_DIFF, most=MOST + 1))


def _files(status: bytes) -> list[str]:
    """Return the names in a status that is separated by NUL; of a renamed file the new one."""
    entries = iter(status.decode(errors="replace").split("\0"))
    names: list[str] = []
    for entry in entries:
        if entry:
            names.append(entry[3:])
            if entry[0] in "RC":
                next(entries, None)
    return names[:_FILES]


def _shown(diff: bytes | None) -> str | None:
    if diff is None:
        return None
    text = diff[:MOST].decode(errors="replace")
    if len(diff) > MOST:  # at the end of a line: half a secret would not be known as one
        text = text[: text.rfind("\n") + 1] + f"... cut at {MOST:,} bytes\n"
    hides = names_in_force()
    if hides is None:
        return text
    from flowdeck_store.secrets.diffs import diff_without_secrets

    return diff_without_secrets(text, hides)


def _ask(command: Sequence[str], seconds: float, most: int) -> bytes | None:
    """Return what a command writes, up to ``most`` bytes; ``None`` if it fails or is too slow."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is the run's
        )
    except (OSError, ValueError):  # no git
        return None
    late = threading.Timer(seconds, _kill, [child])
    late.daemon = True
    late.start()
    try:
        assert child.stdout is not None
        with child.stdout as output:
            said = output.read(most)
        if len(said) == most:
            _kill(child)
            child.wait()
            return said
        return said if child.wait() == 0 else None
    finally:
        late.cancel()


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        child.kill()
