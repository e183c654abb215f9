"""Ways to tell somebody. Each takes at most a time limit, and raises :class:`NotSent` with the reason.

Names and messages come from users' code: to a terminal goes one line without control characters, to
the desktop text that is no markup, to a command JSON on its stdin and no word of its command line.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck.notifying.notices import Notice

#: Set for commands: what they run in turn with flowdeck notifies nobody, or there would be no end.
INSIDE: Final = "FLOWDECK__NOTIFYING"
_TERMINAL: Final = "/dev/tty"


class NotSent(Exception):
    """A notification could not be sent, and why."""


def label(channel: str) -> str:
    """Return how a channel is named in a log: without a URL's path and a command's arguments, which
    may hold secrets."""
    kind, _, rest = channel.partition(":")
    if kind == "webhook":
        from urllib.parse import urlsplit

        return f"webhook:{urlsplit(rest).hostname}"
    if kind == "command":
        import shlex

        return f"command:{shlex.split(rest)[0]}"
    return kind


def send(channel: str, notice: Notice, limit: float) -> None:
    """Send a notice.

    Args:
        channel: one of the setting ``notify``.
        notice: what to say.
        limit: seconds that it may take.

    Raises:
        NotSent: it was not sent.
    """
    kind, _, rest = channel.partition(":")
    if kind == "bell":
        write_to_terminal("\a")  # nobody sits there: nothing to hear
    elif kind == "desktop":
        _desktop(notice, limit)
    elif kind == "webhook":
        _post(rest, notice.json(), limit)
    else:
        import shlex

        _execute(shlex.split(rest), notice, limit)


# -- people ---------------------------------------------------------------------------------------


def _desktop(notice: Notice, limit: float) -> None:
    command = desktop_command(notice)
    if command is not None:
        try:
            _wait_for(command, "", limit)
        except NotSent:
            pass  # there is no desktop where this runs, but perhaps at the other end of the terminal
        else:
            return
    if not write_to_terminal(to_terminal(notice, os.environ)):
        raise NotSent("there is neither a desktop that notify-send reaches nor a terminal")


def desktop_command(notice: Notice, platform: str = sys.platform) -> list[str] | None:
    """Return the command that has the desktop show a notification; ``None``: there is none."""
    import html
    import shutil

    name = "osascript" if platform == "darwin" else "notify-send"
    program = shutil.which(name)
    if program is None:
        return None
    if name == "osascript":  # what is shown are words for the script, no part of it
        lines = [
            "on run argv",
            "display notification (item 2 of argv) with title (item 1 of argv)",
            "end run",
        ]
        return [
            program,
            *(word for line in lines for word in ("-e", line)),
            notice.title,
            notice.text,
        ]
    return [
        program,
        "--app-name=flowdeck",
        "--",
        notice.title,
        html.escape(notice.text, quote=False),
    ]


def to_terminal(notice: Notice, environ: os._Environ[str] | dict[str, str]) -> str:
    """Return what has a terminal show a notification: OSC 777 where it is known, else OSC 9."""
    if environ.get("VTE_VERSION") or environ.get("TERM", "").startswith(("rxvt", "foot")):
        title = notice.title.replace(";", ",")
        text = f"\x1b]777;notify;{title};{notice.text}\a"
    else:
        text = f"\x1b]9;{notice.title}. {notice.text}\a"
    if environ.get("TMUX"):  # it hands on what is wrapped
        text = "\x1bPtmux;" + text.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return text


def write_to_terminal(text: str) -> bool:
    """Write to the terminal of this process, without waiting for it; ``False`` if there is none."""
    try:
        terminal = os.open(_TERMINAL, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if _would_stop_us(terminal):
            return False
        os.write(terminal, text.encode("utf-8", "replace"))
    except OSError:
        return False
    finally:
        os.close(terminal)
    return True


def _would_stop_us(terminal: int) -> bool:
    """Say whether the terminal stops processes in the background that write (``stty tostop``)."""
    import termios

    try:
        return os.tcgetpgrp(terminal) != os.getpgrp() and bool(
            termios.tcgetattr(terminal)[3] & termios.TOSTOP
        )
    except (OSError, termios.error):
        return False


# -- programs -------------------------------------------------------------------------------------


def _post(url: str, body: str, limit: float) -> None:
    """POST to a URL of http or https. A redirection is not followed: it would lead what is said of a
    run to a place that nobody named."""
    import http.client
    import urllib.error
    import urllib.request

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    headers = {"Content-Type": "application/json", "User-Agent": "flowdeck"}
    try:
        request = urllib.request.Request(url, body.encode(), headers, method="POST")
        opener.open(request, timeout=limit).close()
    except urllib.error.HTTPError as error:
        error.close()
        hint = ": name the URL that it leads to" if 300 <= error.code < 400 else ""
        raise NotSent(f"it answered {error.code}{hint}") from None
    except TimeoutError:
        raise NotSent(f"no answer within {limit:g} seconds") from None
    except urllib.error.URLError as error:
        raise NotSent(str(error.reason)) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotSent(type(error).__name__) from None


def _execute(words: Sequence[str], notice: Notice, limit: float) -> None:
    environ = {"FLOWDECK_RUN": str(notice.run), "FLOWDECK_STATE": notice.state, INSIDE: "1"}
    _wait_for(words, notice.json(), limit, environ)


def _wait_for(
    words: Sequence[str], given: str, limit: float, more: dict[str, str] | None = None
) -> None:
    """Execute a program, without a shell, and wait until it ends; what does not is killed with all
    that it started."""
    import subprocess
    import tempfile

    # Files, not pipes: neither a program that does not read nor a child of it that keeps a pipe
    # open can make this wait.
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(given.encode())
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                words,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, **(more or {})},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise NotSent(f"it cannot be executed: {reason}") from None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except OSError:
                process.kill()
            process.wait()
            raise NotSent(f"it did not end within {limit:g} seconds") from None
        if code:
            stderr.seek(0)
            said = stderr.read(2000).decode("utf-8", "replace").strip()
            raise NotSent(f"it ended with code {code}" + (f": {said}" if said else ""))
