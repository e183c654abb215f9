"""The app in a browser: textual-serve's server with a page of our own, closed to everybody else.

Whoever speaks to the web socket holds the app's keyboard, and so runs code as the user. Any user of
this computer can open a socket to it: so the address that is printed has a token in it, which a
first visit turns into a cookie, and nothing is answered without either. A browser lets any site
open a socket to this computer, too: so the socket takes only pages of its own (the browser tells
the truth in *Origin*), and a server for this computer answers only to its names (a stranger's name
may be made to point here). The page loads nothing from elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from textual_serve.server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.web import Application, Request, StreamResponse, WebSocketResponse

    Handler = Callable[[Request], Awaitable[StreamResponse]]

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
        self._token = secrets.token_urlsafe(24)
        self._cookie = f"flowdeck-{port}"  # cookies do not tell ports apart

    def initialize_logging(self) -> None:
        """Say only what is wrong."""
        logging.basicConfig(level=logging.WARNING, format="%(message)s")

    async def on_startup(self, app: Application) -> None:
        """Say nothing: nobody is answered yet."""

    def serve(self, debug: bool = False) -> None:
        """Serve until a signal ends it; say where the app is as soon as it answers there.

        Textual's server would say so before it listens: who opened the address at once, as scripts
        do, was refused.
        """
        self.debug = debug
        self.initialize_logging()
        loop = asyncio.new_event_loop()
        with contextlib.suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.request_exit)
        web.run_app(
            self._make_app(), host=self.host, port=self.port, handle_signals=False, loop=loop,
            print=self._say_where,
        )  # fmt: skip

    def _say_where(self, *given: object) -> None:
        """Say where the app is, in place of what aiohttp says once it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        address = f"http://{host}:{self.port}/?token={self._token}"
        print(f"flowdeck is at {address}  (ctrl+c ends it)", flush=True)

    async def _make_app(self) -> Application:
        """Put the guard before every answer, also those that textual-serve gives by itself."""
        app: Application = await super()._make_app()
        app.middlewares.append(self._guarded)
        return app

    @web.middleware
    async def _guarded(self, request: Request, handler: Handler) -> StreamResponse:
        """Answer to our own names only, and only who has the token."""
        self._check_name(request)
        if self._is_token(request.query.get("token")):
            # Out of the address with it: there it would be in the history, and in what is shared.
            answer = web.HTTPFound("/")
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="Lax")
            return answer
        if not self._is_token(request.cookies.get(self._cookie)):
            raise web.HTTPForbidden(
                text="Open the address that `flowdeck ui --serve` has printed: it has a token in "
                "it, so that other users of this computer cannot use the app.\n"
            )
        return await handler(request)

    def _is_token(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), self._token.encode())

    async def handle_index(self, request: Request) -> StreamResponse:
        """Answer with the page."""
        scheme = "wss" if request.secure else "ws"
        page: dict[str, Any] = {"socket": f"{scheme}://{request.host}/ws", "title": self.title}
        return aiohttp_jinja2.render_template("index.html", request, page)

    async def handle_websocket(self, request: Request) -> WebSocketResponse:
        """Start the app for a tab, and carry its keys and its screen."""
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="Only flowdeck's own page may use this.")
        return await super().handle_websocket(request)

    def _check_name(self, request: Request) -> None:
        name = urlsplit(f"//{request.host}").hostname
        if self.host in HERE and name not in HERE:
            raise web.HTTPForbidden(text="flowdeck answers only to this computer.")
