"""What the app reads from its terminal, however the bytes are cut by reads."""

from __future__ import annotations

import array
import fcntl
import os
import termios
import threading
import time
from queue import SimpleQueue
from typing import Any

from textual.events import Key

from flowdeck_app.terminal.driver import TerminalDriver


def read_by_then(descriptor: int) -> bool:
    """Whether nothing that was written is still to be read."""
    left = array.array("i", [1])
    fcntl.ioctl(descriptor, termios.FIONREAD, left)
    return left[0] == 0


def test_a_character_that_arrives_in_two_reads_is_a_key_and_ends_nothing() -> None:
    source, sink = os.pipe()
    seen: SimpleQueue[Any] = SimpleQueue()
    driver: Any = object.__new__(TerminalDriver)
    driver.fileno, driver._debug, driver.exit_event = source, False, threading.Event()
    driver.process_message = seen.put
    reader = threading.Thread(target=driver.run_input_thread, daemon=True)
    reader.start()
    try:
        os.write(sink, "é".encode()[:1])
        deadline = time.monotonic() + 30
        while not read_by_then(source):
            assert time.monotonic() < deadline
            time.sleep(0.002)  # the pause between two looks
        os.write(sink, "é".encode()[1:])
        key = seen.get(timeout=30)
        assert isinstance(key, Key)
        assert key.character == "é"
    finally:
        driver.exit_event.set()
        reader.join(30)
        os.close(source)
        os.close(sink)
