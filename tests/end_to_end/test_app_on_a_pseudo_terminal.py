"""What a terminal may do to the app: any byte, any signal, its own end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pseudo_terminal import PseudoTerminal
from terminal import Terminal, needs_tmux

pytestmark = pytest.mark.timeout(180)

READY = b"never run"
FLOW = '''
from flowdeck import flow


@flow
def gated():
    """Is there."""
'''
CRASH = """
import sys
from pathlib import Path
from flowdeck_app import app, opening

class Broken(app.FlowdeckApp):
    def on_mount(self):
        super().on_mount()
        self.set_interval(0.01, self.fault)

    def fault(self):
        raise LookupError("a fault of ours")

opening.FlowdeckApp = Broken
sys.exit(opening.run_app(Path(sys.argv[1])))
"""


@pytest.fixture
def on_pty(home: Path, folder: Path) -> Iterator[Callable[..., PseudoTerminal]]:
    """Start the app on a pseudo terminal."""
    (folder / "gated.py").write_text(FLOW)
    started: list[PseudoTerminal] = []

    def start(*command: str) -> PseudoTerminal:
        started.append(PseudoTerminal(home, folder, *([command] if command else [])))
        return started[-1]

    yield start
    for each in started:
        each.close()


def check_restored(app: PseudoTerminal) -> None:
    """The terminal is as it was: settings, main screen, cursor, mouse and paste reports."""
    assert app.attributes() == app.before
    for mode, left, taken in (
        (1049, "l", "h"), (25, "h", "l"), (1003, "l", "h"), (2004, "l", "h"), (1004, "l", "h")
    ):  # fmt: skip
        last = [app.output.rfind(f"\x1b[?{mode}{end}".encode()) for end in (left, taken)]
        assert last[0] > last[1] >= 0, mode


def test_bytes_that_are_not_utf_8_do_nothing(on_pty: Callable[..., PseudoTerminal]) -> None:
    app = on_pty()
    app.until(READY)
    app.send(bytes(range(0x80, 0x100)) + b"\xc3" + b"\xed\xa0\x80" + b"\xf5\xff")
    for byte in (0x20, 0x43, 0x80, 0xFF):  # reports of the mouse from before SGR
        app.send(b"\x1b[M" + bytes((byte, 0xF0, 0x2A)))
    app.send(b"\x1b[M ")
    app.send(b"\xf1")
    app.send(b"\x2b")
    app.until(b"Home")
    since = len(app.read())
    app.send(b"/gat\xe9ed")
    app.until(b"gated", since=since)
    app.send(b"\x11")  # ctrl+q
    assert app.ended() == 0
    check_restored(app)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT"])
def test_a_signal_ends_the_app_and_leaves_the_terminal_as_it_was(
    on_pty: Callable[..., PseudoTerminal], name: str
) -> None:
    app = on_pty()
    app.until(READY)
    number = signal.Signals[name]
    app.process.send_signal(number)
    assert app.ended() == 128 + number
    check_restored(app)
    assert b"Traceback" not in app.output


def test_the_app_ends_with_its_terminal(on_pty: Callable[..., PseudoTerminal]) -> None:
    app = on_pty()
    app.until(READY)
    app.hang_up()
    deadline = time.monotonic() + 30
    while app.process.poll() is None:
        assert time.monotonic() < deadline, "the app outlives its terminal"
        time.sleep(0.02)
    assert app.process.returncode == 128 + signal.SIGHUP


def test_a_crash_ends_with_1_and_says_where_the_log_is(
    on_pty: Callable[..., PseudoTerminal], home: Path
) -> None:
    app = on_pty(sys.executable, "-P", "-c", CRASH, str(home))
    assert app.ended(60) == 1
    assert str(home / "app.log").encode() in app.output.replace(b"\r\n", b"")
    assert "LookupError: a fault of ours" in (home / "app.log").read_text()
    check_restored(app)


@needs_tmux
def test_ctrl_z_goes_back_to_the_shell_and_fg_returns(
    opened: Callable[..., Terminal], folder: Path
) -> None:
    (folder / "gated.py").write_text(FLOW)
    command = f"{sys.executable} -P -m flowdeck_app"
    shell = opened(command="env PS1='shell> ' bash --norc --noprofile -i")
    shell.until("shell>")
    for _ in range(2):  # not only once
        shell.type(command if _ == 0 else "fg")
        shell.press("Enter")
        shell.until("never run")
        shell.press("C-z")
        shell.until(lambda shown: "Stopped" in shown and "never run" not in shown)
    shell.type("echo still $((40 + 2))")
    shell.press("Enter")
    shell.until("still 42")
    shell.type("fg")
    shell.press("Enter")
    shell.until(lambda shown: "flowdeck › Home" in shown and "? Help" in shown)  # all of it
    shell.press("r")
    shell.until("Run gated")
    shell.press("C-z")  # from a dialog too
    shell.until("Stopped")
    shell.type("fg")
    shell.press("Enter")
    shell.until("Run gated")
    shell.press("Escape")
    shell.until(lambda shown: "Run gated" not in shown)
    shell.press("q")
    shell.until(lambda shown: shown.rstrip().endswith("shell>"))
