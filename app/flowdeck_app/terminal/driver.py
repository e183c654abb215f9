"""The terminal as the app has it: any byte may come in, and it may go away at any time.

Textual's driver ends the app at the first byte that is not UTF-8, waits for ever for a terminal that
is gone, and stops only itself at ``ctrl+z``, so that a program that started it would hang.
"""

from __future__ import annotations

import codecs
import os
import re
import selectors
import signal
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App

#: A mouse report of before 2012: three bytes behind ``ESC [ M``, each 32 more than what it says.
_OLD_MOUSE: Final = re.compile(rb"\x1b\[M(...)", re.DOTALL)
#: The beginning of one at the end of what has come.
_BEGUN: Final = re.compile(rb"\x1b\[M.{0,2}\Z", re.DOTALL)
#: Seconds that the thread waits for input before it looks whether it should end.
_LOOK: Final = 0.1


class InputText:
    """Bytes of a terminal as text: what is not UTF-8 is left out, old mouse reports become new ones.

    Terminals without SGR reports (or tmux, attached again by one) send coordinates as raw bytes.
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("ignore").decode
        self._begun = b""

    def text(self, data: bytes, *, final: bool = False) -> str:
        """Return the text of the next bytes; an unfinished report or letter waits for the rest."""
        data = _OLD_MOUSE.sub(_as_sgr, self._begun + data)
        cut = None if final else _BEGUN.search(data)
        self._begun = b"" if cut is None else cut[0]
        return self._decode(data if cut is None else data[: cut.start()], final=final)


def _as_sgr(report: re.Match[bytes]) -> bytes:
    button, x, y = (max(0, byte - 32) for byte in report[1])
    released = button & 3 == 3 and button < 32
    return b"\x1b[<%d;%d;%d%c" % (
        button - 3 if released else button,
        x,
        y,
        b"m" if released else b"M",
    )


class _Forgiving:
    """A stream to a terminal that may be gone: what cannot be written is not written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class TerminalDriver(LinuxDriver):
    """Textual's driver for a terminal, made to stand what terminals do."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._file = cast("Any", _Forgiving(cast("TextIO", self._file)))

    def run_input_thread(self) -> None:
        """Read keys and mouse until the app ends, or the terminal does."""
        parser, texts = XTermParser(self._debug), InputText()
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(_LOOK):
                    try:
                        data = os.read(self.fileno, 4096)
                    except OSError:
                        data = b""
                    if not data:  # hung up: nobody types any more
                        self._loop.call_soon_threadsafe(_hang_up, self._app)
                        return
                    text = texts.text(data)
                    if text:  # to the parser, nothing is the end: a part of a character is not
                        for event in parser.feed(text):
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    @property
    def has_shell(self) -> bool:
        """Whether there is a shell that would go on when the app is suspended."""
        try:
            return os.getsid(os.getppid()) == os.getsid(0)
        except OSError:
            return False

    def _sigtstp_application(self, *given: object) -> None:
        """Leave the terminal, and stop the whole job, as the terminal's own ``ctrl+z`` would."""
        if self._auto_restart:
            self.suspend_application_mode()
            self._must_signal_resume = True
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            os.killpg(0, signal.SIGTSTP)
        finally:  # here again after fg
            signal.signal(signal.SIGTSTP, self._sigtstp_application)

    def _sigcont_application(self, *given: object) -> None:
        """Take the terminal again; one that we were stopped in without notice is set up anew."""
        if self._auto_restart:
            if not self._must_signal_resume:
                self.suspend_application_mode()
                self._must_signal_resume = True
            self.resume_application_mode()


def _hang_up(app: App[Any]) -> None:
    app.exit(return_code=128 + signal.SIGHUP)
