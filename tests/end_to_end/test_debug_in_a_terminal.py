"""``flowdeck debug`` as users see it: a debugger and a console on a terminal, and from the app."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pseudo_terminal import PseudoTerminal

pytestmark = pytest.mark.timeout(240)

COMMAND = (sys.executable, "-P", "-m", "flowdeck_app")
#: The terminal becomes the one whose Ctrl-C is a signal, as in a shell.
AS_IN_A_SHELL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
FLOW = '''
import socket
from flowdeck import flow, task


class Order:
    def __init__(self, amount, currency):
        self.amount, self.currency = amount, currency


@task
def fetch(day: int):
    return [Order(day, "EUR"), Order(2 * day, "XXX")]


@task
def total(orders, rates):
    result = 0.0
    for order in orders:
        rate = rates[order.currency]
        result += order.amount * rate
    return result


@flow
def books(day: int = 7):
    """Adds up."""
    return total.submit(fetch.submit(day), {"EUR": 1.5})
'''


@pytest.fixture
def on_pty(home: Path, folder: Path) -> Iterator[Callable[..., PseudoTerminal]]:
    """Start commands on a pseudo terminal, in a folder with a flow."""
    (folder / "books.py").write_text(FLOW)
    started: list[PseudoTerminal] = []

    def start(*words: str) -> PseudoTerminal:
        started.append(
            PseudoTerminal(home, folder, (sys.executable, "-c", AS_IN_A_SHELL, *COMMAND, *words))
        )
        return started[-1]

    yield start
    for each in started:
        each.close()


def run_once(home: Path, folder: Path, *words: str) -> None:
    env = {**os.environ, "FLOWDECK_HOME": str(home)}
    done = subprocess.run(
        [*COMMAND, "run", "books.py:books", "-q", *words],
        cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr


def check_the_debugger(seen: PseudoTerminal) -> None:
    """It stands at the failing line, with what the task was given, and its exit code is 1."""
    seen.until(b"-> rate = rates[order.currency]")
    seen.until(b"(Pdb) ")
    seen.send(b"p [(o.amount, o.currency) for o in orders], rates, order.amount\n")
    seen.until(b"([(7, 'EUR'), (14, 'XXX')], {'EUR': 1.5}, 14)")
    seen.send(b"q\n")
    assert seen.ended() == 1
    assert b"orders = [<books.Order object at" in seen.output
    assert b"(the kept result of fetch-" in seen.output
    assert b"(the record shows all of it)" in seen.output


@pytest.mark.parametrize("runner", ["sequential", "concurrent"])
def test_the_debugger_stands_at_the_failing_line_with_the_real_inputs(
    home: Path, folder: Path, on_pty: Callable[..., PseudoTerminal], runner: str
) -> None:
    run_once(home, folder, "--runner", runner)
    check_the_debugger(on_pty("debug", "@last/total"))


@pytest.mark.dask
@pytest.mark.slow
def test_a_task_that_ran_on_dask_is_debugged_here(
    home: Path, folder: Path, on_pty: Callable[..., PseudoTerminal]
) -> None:
    pytest.importorskip("distributed")
    run_once(home, folder, "--runner", "dask")
    check_the_debugger(on_pty("debug", "@last/total"))


def test_the_console_has_the_recorded_inputs(
    home: Path, folder: Path, on_pty: Callable[..., PseudoTerminal]
) -> None:
    run_once(home, folder)
    seen = on_pty("debug", "@last/total", "--no-run")
    seen.until(b">>> ")
    seen.send(b"print('sum', sum(o.amount for o in orders), rates, failure.splitlines()[-1])\n")
    seen.until(b"sum 21 {'EUR': 1.5} KeyError: 'XXX'")
    seen.send(b"exit()\n")
    assert seen.ended() == 0


def test_ctrl_c_in_the_task_comes_back_to_the_shell(
    home: Path, folder: Path, on_pty: Callable[..., PseudoTerminal]
) -> None:
    run_once(home, folder)
    (folder / "books.py").write_text(
        FLOW.replace("    result = 0.0\n", "    print('go', 'ing'); import time; time.sleep(100)\n")
    )
    seen = on_pty("debug", "@last/total")
    seen.until(b"changed since.")
    seen.until(b"go ing")
    seen.send(b"\x03")
    assert seen.ended() == 130


PAGER = """
import os, signal
signal.signal(signal.SIGINT, lambda *_: print("the pager got it", flush=True))
terminal = open("/dev/tty")
print("the pager is up", flush=True)
while terminal.readline() != "q\\n":
    pass
"""


def test_ctrl_c_in_the_pager_is_the_pager_s(
    home: Path,
    folder: Path,
    on_pty: Callable[..., PseudoTerminal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "pager.py").write_text(PAGER)
    monkeypatch.setenv("PAGER", f"{sys.executable} pager.py")
    run_once(home, folder)
    app = on_pty()
    app.until(b"books")
    app.send(b"2")
    app.until(b"Failed")
    app.send(b"f")
    app.until(b"Traceback")
    app.send(b"P")
    app.until(b"the pager is up")
    app.send(b"\x03")
    app.until(b"the pager got it")
    since = len(app.read())
    app.send(b"q\n")
    app.until(b"Traceback", since=since)
    app.send(b"q")
    assert app.ended() == 0


def test_the_app_steps_back_for_the_debugger_and_returns(
    home: Path, folder: Path, on_pty: Callable[..., PseudoTerminal]
) -> None:
    run_once(home, folder)
    app = on_pty()
    app.until(b"books")
    app.send(b"2")
    app.until(b"Failed")
    app.send(b"f")
    app.until(b"Traceback")
    app.send(b"B")
    app.until(b"(Pdb) ")
    since = len(app.read())
    app.send(b"p order.amount\n")
    app.until(b"14", since=since)
    app.send(b"\x03")  # the debugger's, not the app's
    app.until(b"--KeyboardInterrupt--")
    app.send(b"q\n")
    app.until(b"Enter goes back to the app")
    since = len(app.read())
    app.send(b"\n")
    app.until(b"Traceback", since=since)
    app.send(b"q")
    assert app.ended() == 0
