"""The app in a browser: textual-serve's server with a page of our own, closed to other sites.

Whoever speaks to the web socket holds the app's keyboard. A browser lets any site open a socket to
this computer, so the socket takes only pages of its own (the browser tells the truth in *Origin*),
and a server for this computer answers only to its names (a stranger's name may be made to point
here). The page loads nothing from elsewhere.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from textual_serve.server import Server

if TYPE_CHECKING:
    from aiohttp.web import Application, Request, StreamResponse, WebSocketResponse

#: Hosts that only this computer reaches.
HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_PAGE: Final = Path(__file__).with_name("web")


class AppServer(Server):
    """Serves the app; each browser tab is a process of its own.

    Args:
        command: what to run for a tab.
        host: address to listen at.
        port: its port.
    """

    def __init__(self, command: str, host: str, port: int) -> None:
        super().__init__(command, host=host, port=port, title="flowdeck", templates_path=_PAGE)

    def initialize_logging(self) -> None:
        """Say only what is wrong."""
        logging.basicConfig(level=logging.WARNING, format="%(message)s")

    async def on_startup(self, app: Application) -> None:
        """Say where the app is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        print(f"flowdeck is at http://{host}:{self.port}  (ctrl+c ends it)", flush=True)

    async def handle_index(self, request: Request) -> StreamResponse:
        """Answer with the page."""
        self._check_name(request)
        scheme = "wss" if request.secure else "ws"
        page: dict[str, Any] = {"socket": f"{scheme}://{request.host}/ws", "title": self.title}
        return aiohttp_jinja2.render_template("index.html", request, page)

    async def handle_websocket(self, request: Request) -> WebSocketResponse:
        """Start the app for a tab, and carry its keys and its screen."""
        self._check_name(request)
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="Only flowdeck's own page may use this.")
        return await super().handle_websocket(request)

    async def handle_download(self, request: Request) -> StreamResponse:
        """Answer with a file that the app gives out."""
        self._check_name(request)
        return await super().handle_download(request)

    def _check_name(self, request: Request) -> None:
        name = urlsplit(f"//{request.host}").hostname
        if self.host in HERE and name not in HERE:
            raise web.HTTPForbidden(text="flowdeck answers only to this computer.")
