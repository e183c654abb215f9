"""The words of ssh for a verb on another machine: pure, so that all of it can be tested.

What ssh is given after the host it joins with spaces and hands to the login shell there, whichever
that is. So the words are quoted in the one way that sh, zsh, fish and csh read alike, and what is more
than a list of words stands in one word for ``sh -c``.

That login shell is no login: it has not read what puts ``~/.local/bin`` on the PATH, which is where
pipx and uv install. So it is looked for there, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: In the environment of a flowdeck that another one has called: the version of that one.
CALLED_BY: Final = "_FLOWDECK_CALLED_BY"
#: Exit codes of our script there, which flowdeck itself never has.
NOT_FOUND, NO_FOLDER = 127, 125
#: Where installers put it, after all that is on the PATH there.
PLACES: Final = ("~/.local/bin", "~/bin", "/usr/local/bin", "/opt/homebrew/bin")
#: What a terminal can do, which ssh does not pass on of itself.
_PASSED_ON: Final = ("COLORTERM", "NO_COLOR")
_SAFE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+", re.ASCII)
_HOST: Final = re.compile(r"[^\s\x00-\x20\x7f-][^\s\x00-\x20\x7f]*")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, and what is known of the flowdeck there.

    Attributes:
        name: as it was given.
        address: what ssh is given: a name of its own configuration, ``user@machine``.
        command: how flowdeck is called there, as ``sh`` reads it; ``""``: it is looked for.
        home: the folder of the record there; ``""``: what flowdeck takes there.
        folder: where verbs run there; ``""``: where ssh begins.
    """

    name: str
    address: str
    command: str = ""
    home: str = ""
    folder: str = ""


def place_of(name: str, hosts: Mapping[str, Mapping[str, str]]) -> Machine | None:
    """Return the machine of a name; ``None``: it cannot be one (ssh would take it for an option).

    Args:
        name: a name in ``hosts``, or whatever ssh takes.
        hosts: the setting.
    """
    known = dict(hosts.get(name, {}))
    place = Machine(name, known.pop("address", name), **known)
    return place if _HOST.fullmatch(place.address) else None


def quoted(word: str) -> str:
    r"""Return a word as sh, zsh, fish and csh read it.

    Between single quotes a backslash is itself for sh, but may be half of something for fish, and an
    exclamation mark means something to csh: so these and quotes stand outside, each behind a backslash,
    as all of them take it.
    """
    if _SAFE.fullmatch(word):
        return word
    parts = re.split(r"(['\\!])", word)
    return (
        "".join(f"\\{part}" if part in {"'", "\\", "!"} else f"'{part}'" for part in parts if part)
        or "''"
    )


def _of_home(path: str) -> str:
    """Return a path as a word of sh, a leading ``~`` with the meaning that it has there."""
    if path == "~" or path.startswith("~/"):
        return f'"$HOME"{quoted(path[1:])}' if path[1:] else '"$HOME"'
    return quoted(path)


def script(place: Machine, words: Sequence[str], environ: Mapping[str, str], version: str) -> str:
    """Return what ``sh`` has to do there; the verb and its words are its parameters.

    Args:
        place: the machine.
        words: of flowdeck, which the script gets as ``$@``.
        environ: the environment here.
        version: of the flowdeck here.
    """
    lines = []
    if place.folder:
        lines.append(f"cd {_of_home(place.folder)} || exit {NO_FOLDER}")
    known = {name: environ[name] for name in _PASSED_ON if _SAFE.fullmatch(environ.get(name, ""))}
    given = " ".join(f"{name}={value}" for name, value in {CALLED_BY: version, **known}.items())
    home = f" --home {_of_home(place.home)}" if place.home and not _names_home(words) else ""
    if place.command:
        lines.append(f'exec env {given} {place.command}{home} "$@"')
    else:
        more = ":".join(each.replace("~", "$HOME") for each in PLACES)
        lines.append(f'f=$(PATH="$PATH:{more}"; command -v flowdeck) || exit {NOT_FOUND}')
        lines.append(f'exec env {given} "$f"{home} "$@"')
    return "; ".join(lines)


def _names_home(words: Sequence[str]) -> bool:
    before = words[: words.index("--")] if "--" in words else words
    return any(word == "--home" or word.startswith("--home=") for word in before)


def needs_stdin(words: Sequence[str]) -> bool:
    """Say whether a verb reads stdin: ssh would else take from it what is for others, as in a loop
    over the lines of a file."""
    return any(word == "-" or word.endswith("@-") for word in words)


def ssh_words(
    ssh: str,
    place: Machine,
    words: Sequence[str],
    *,
    terminal: bool,
    said: str,
    environ: Mapping[str, str],
    version: str,
) -> list[str]:
    """Return the command that runs a verb on another machine.

    Args:
        ssh: the program.
        place: the machine.
        words: of flowdeck, without its own name.
        terminal: a person sits here: give them one there.
        said: the file for what ssh itself has to say.
        environ: the environment here.
        version: of the flowdeck here.
    """
    options = ["-t"] if terminal else ["-T"] if needs_stdin(words) else ["-T", "-n"]
    there = ["exec", "sh", "-c", script(place, words, environ, version), "flowdeck", *words]
    return [
        ssh, *options, "-o", "LogLevel=ERROR", "-E", said, "--", place.address,
        " ".join(map(quoted, there)),
    ]  # fmt: skip
