"""Running a verb, or the app, on another machine: ssh as a child, its exit code, its errors in a sentence.

Stdin, stdout and stderr are those of this process, so that data, terminals and Ctrl-C go the shortest
way. What ssh itself has to say goes into a file (``-E``) and is read when it has failed: so stderr is
what flowdeck says there, and ``--json`` stays JSON.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Final

from flowdeck_app.cli.away.remote_words import NO_FOLDER, NOT_FOUND, Machine, place_of, ssh_words
from flowdeck_app.cli.errors import INTERRUPTED, UNREACHABLE, Trouble
from flowdeck_app.cli.output import in_color, is_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The exit code of ssh where it has failed itself.
_FAILED: Final = 255
#: What ssh says, what it means, what to do: the first that fits.
_REASONS: Final = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "{name} has another host key than ssh knows it by.",
     "If it was set up anew, remove the old key: `ssh-keygen -R {machine}`; if not, somebody may stand between."),
    ("Host key verification failed", "ssh does not know the host key of {name}.",
     "Run `ssh {address}` once, compare the key, and accept it."),
    ("Permission denied", "{name} does not let you in: {said}",
     "Try `ssh {address}`: the user's name, the key (ssh-add), or a password in a terminal."),
    ("Could not resolve hostname", "there is no machine {machine}.",
     "A name of ~/.ssh/config, of `hosts` in your settings, or user@machine is expected."),
    ("Connection refused", "{name} refuses the connection: no ssh server listens there.",
     "Start it there, or name its port in ~/.ssh/config."),
    ("timed out", "{name} does not answer.", "Is it on, and reachable from here? `ssh -v {address}` says more."),
    ("No route to host", "{name} cannot be reached from here.", "`ssh -v {address}` says more."),
    ("Network is unreachable", "{name} cannot be reached from here.", "`ssh -v {address}` says more."),
)  # fmt: skip


def run_there(name: str, words: Sequence[str]) -> int:
    """Run a verb on another machine and return its exit code.

    Args:
        name: of the machine: in ``hosts``, or as ssh takes it.
        words: the verb and what follows, general options before it included.

    Raises:
        Trouble: ssh failed, or there is no flowdeck to call.
    """
    from flowdeck.settings import get_settings
    from flowdeck.version import __version__

    place = place_of(name, get_settings().hosts)
    if place is None:
        raise Trouble(
            f"{name!r} is not the name of a machine.", "`flowdeck --host user@machine VERB...`"
        )
    ssh = shutil.which("ssh")
    if ssh is None:
        raise Trouble(
            "--host needs ssh, and there is no such command here.",
            "Install the OpenSSH client (Debian: apt install openssh-client).",
        )
    terminal = all(map(is_terminal, (sys.stdin, sys.stdout, sys.stderr)))
    if opens_app(words) and not terminal:
        raise Trouble(
            "the app needs a terminal.", "`flowdeck runs` and the other verbs work without one."
        )
    if not terminal and in_color(sys.stdout):
        words = ["--color", "always", *words]
    handle, said = tempfile.mkstemp(prefix="flowdeck-ssh-")
    os.close(handle)
    try:
        command = ssh_words(
            ssh, place, words,
            terminal=terminal, said=said, environ=os.environ, version=__version__,
        )  # fmt: skip
        code = _called(command)
        with open(said, encoding="utf-8", errors="replace") as file:
            return _understood(code, place, file.read())
    finally:
        os.unlink(said)


def opens_app(words: Sequence[str]) -> bool:
    """Say whether these words open the app in the terminal."""
    rest = list(words)
    while rest and rest[0] in {"--home", "--color"}:
        del rest[:2]
    return not rest or (rest[0] == "ui" and not {"--serve", "--help", "-h"}.intersection(rest))


def _called(command: Sequence[str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    with subprocess.Popen(command) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:  # it is ssh's as well
            child.wait()
            return INTERRUPTED
        except BaseException:
            child.terminate()
            raise


def _understood(code: int, place: Machine, said: str) -> int:
    """Return the verb's exit code.

    Raises:
        Trouble: it is none of the verb's.
    """
    if code == NOT_FOUND:
        raise _not_there(place)
    if code == NO_FOLDER:
        raise Trouble(
            f"there is no folder {place.folder} on {place.name}.",
            f"hosts.{place.name}.folder in your settings names it.",
            UNREACHABLE,
        )
    if code != _FAILED:
        return code if code >= 0 else 128 - code
    lines = [line.strip() for line in said.splitlines() if line.strip(" @\r\n")]
    words = {
        "name": place.name,
        "address": place.address,
        "machine": place.address.rpartition("@")[2],
        "said": lines[-1] if lines else "",
    }
    for mark, message, hint in _REASONS:
        if mark in said:
            raise Trouble(message.format(**words), hint.format(**words), UNREACHABLE)
    if lines:
        raise Trouble(
            f"ssh to {place.name} failed: {lines[-1]}",
            f"`ssh -v {place.address}` says more.",
            UNREACHABLE,
        )
    raise Trouble(
        f"the connection to {place.name} was lost, or the verb was killed there.",
        f"`flowdeck --host {place.name} runs` shows what goes on.",
        UNREACHABLE,
    )


def _not_there(place: Machine) -> Trouble:
    if place.command:
        return Trouble(
            f"the flowdeck of {place.name} cannot be called: hosts.{place.name}.command is "
            f"{place.command!r}.",
            f"`ssh {place.address} {place.command} --version` tries it.",
            UNREACHABLE,
        )
    return Trouble(
        f"flowdeck was not found on {place.name}: neither on the PATH that ssh gives nor in "
        "~/.local/bin, ~/bin, /usr/local/bin.",
        f"Install it there, or say where it is: hosts.{place.name}.command in your settings.",
        UNREACHABLE,
    )
