"""Try again what may go well the next time: back-off, jitter, and a condition that says when.

A small web server starts on this machine. It is busy (503) for the first two requests of each
page, and one page does not exist (404). Being busy is worth another try, a missing page is not.

    python examples/retries.py
    flowdeck task @last/fetch-0             # its attempts and the waits between them
"""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

from flowdeck import flow, task
from flowdeck.tasks import exponential_backoff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck import State


class BusyServer(BaseHTTPRequestHandler):
    """Answers each page at the third request; knows no page ``/missing``."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        """Answer 404, 503 or the page."""
        self.asked[self.path] += 1
        missing, busy = self.path == "/missing", self.asked[self.path] < 3
        self.send_response(404 if missing else 503 if busy else 200)
        self.end_headers()
        self.wfile.write(f"page {self.path}, request {self.asked[self.path]}".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing: the run's own lines are enough."""


@contextlib.contextmanager
def busy_server() -> Iterator[str]:
    """Run the server on a free port of this machine and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BusyServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def worth_retrying(task: Any, task_run: Any, state: State[Any]) -> bool:
    """Return whether the failure may pass: the server is busy, or was not reached."""
    error = state.result(raise_on_failure=False)
    return not (isinstance(error, urllib.error.HTTPError) and error.code == 404)


@task(
    retries=4,
    retry_delay_seconds=exponential_backoff(backoff_factor=0.05),
    retry_jitter_factor=0.5,
    retry_condition_fn=worth_retrying,
)
def fetch(address: str) -> str:
    """Return the text of a page."""
    with urllib.request.urlopen(address) as answer:
        return str(answer.read().decode())


@flow
def retries(pages: list[str] | None = None) -> list[str]:
    """Fetch pages from a busy server."""
    with busy_server() as address:
        futures = fetch.map([f"{address}/{page}" for page in pages or ["a", "b", "missing"]])
        states = [future.wait() for future in futures]
    return [str(state.result(raise_on_failure=False)) for state in states]


if __name__ == "__main__":
    for line in retries():
        print(line)
