"""``flowdeck run --watch`` in a terminal."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pseudo_terminal import PseudoTerminal


def test_changes_run_the_new_code_until_ctrl_c(tmp_path: Path) -> None:
    """Run, a change, the next run with the new code, a broken file, Ctrl-C."""
    code = tmp_path / "w.py"
    code.write_text("from flowdeck import flow\n@flow\ndef w(x: str):\n    print('first', x)\n")
    words = [
        sys.executable,
        "-P",
        "-m",
        "flowdeck_app",
        "run",
        "w.py:w",
        "--watch",
        "w.py",
        "-p",
        "x=a b",
    ]
    terminal = PseudoTerminal(tmp_path / "home", tmp_path, words)
    try:
        terminal.until(b"waiting for changes of w.py")
        assert b"first a b" in terminal.output
        seen = len(terminal.output)
        (tmp_path / "new").write_text(
            "from flowdeck import flow\n@flow\ndef w(x: str):\n    print('second', x)\n"
        )
        os.replace(tmp_path / "new", code)  # as editors do
        terminal.until(b"w.py changed; it runs again.", since=seen)
        terminal.until(b"second a b", since=seen)
        terminal.until(b"waiting for changes", since=seen)
        seen = len(terminal.output)
        code.write_text("def w(:\n")
        terminal.until(b"w.py:1: invalid syntax", since=seen)
        terminal.until(b"waiting for changes", since=seen)
        os.killpg(terminal.process.pid, signal.SIGINT)  # what Ctrl-C does
        assert terminal.ended() == 130
    finally:
        terminal.close()
