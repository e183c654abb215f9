"""When a widget or a screen hears of what happens: from when it is composed until it goes.

A key, a click, a timer or news may arrive while a screen is being made, while it closes, and after
it has gone. Its widgets are then not there to be asked for, and the screen below is not its own to
close. So there is one rule, held at the few places where things reach a screen: what does not live
is not called. :class:`Living` holds it for the messages of a widget, :class:`LivingScreen` for a
screen and for closing it, :class:`~flowdeck_app.events.screen_life.LivingApp` for keys, mouse and actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from textual import events, messages
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.message_pump import MessagePump
from textual.screen import Screen

from flowdeck_app.events.key_order import KeyDone

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.dom import DOMNode
    from textual.message import Message
    from textual.worker import Worker

if TYPE_CHECKING:
    _ScreenBase = Screen[Any]
else:  # a screen's first base gives its style sheet: this one has none
    _ScreenBase = MessagePump

#: What a widget must hear to its end: in order to end, and because others wait for the answer.
_LAST: Final = (
    events.Unmount, messages.CloseMessages, messages.Prune, events.ScreenSuspend,
    messages.InvokeLater, events.Callback, KeyDone,
)  # fmt: skip
#: Groups of workers that do what the user has ordered: they go on when their screen is left.
ORDERS: Final = frozenset({"control", "delete", "export", "copy"})


def on_stack(screen: Screen[Any]) -> bool:
    """Say whether a screen has been pushed and has not been left."""
    stacks = screen.app._screen_stacks.values()
    return any(screen in stack for stack in stacks)


def lives(node: DOMNode) -> bool:
    """Say whether a node is composed, and is still part of what is shown or can come back."""
    screen: DOMNode | None = node
    while screen is not None and not isinstance(screen, Screen | App):
        screen = screen.parent
    if isinstance(screen, App):
        return screen is node
    if screen is None or not (node._is_mounted and screen._is_mounted) or node._pruning:
        return False
    return not screen._pruning and on_stack(screen)


class Living(MessagePump):
    """A widget that is told nothing any more once it is being taken away.

    An error in a handler goes to the app, which says whether the widget goes on to listen
    (:meth:`~flowdeck_app.events.screen_life.LivingApp.goes_on_after`); Textual would leave it deaf.
    """

    @property
    def goes(self) -> bool:
        """Whether it is being taken away, or has been."""
        going: bool = getattr(self, "_pruning", False)
        return going

    def hears(self, message: Message) -> bool:
        """Say whether a message still means this widget."""
        return not self.goes or isinstance(message, _LAST)

    def call_after_refresh(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Call when the screen is drawn, if this is still part of it: the screen calls, and what is
        to be called would look for widgets that have gone."""

        def call_if_here() -> Any:
            return None if self.goes else callback(*args, **kwargs)

        return super().call_after_refresh(call_if_here)

    async def _dispatch_message(self, message: Message) -> None:
        if not self.hears(message):
            return
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # a fault of ours: it must not take the user's view away
            if self.goes:
                return  # what was to be done with it has no object any more
            goes_on = getattr(self.app, "goes_on_after", None)
            if goes_on is None or not self._is_mounted or not goes_on(error):
                raise


class LivingScreen(Living, _ScreenBase):
    """A screen that is told nothing once it has been left, and that closes only itself."""

    @property
    def goes(self) -> bool:
        """As for every widget; a screen goes when it leaves the stack."""
        return super().goes or (self._is_mounted and not on_stack(self))

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close this screen, and what lies over it; nothing, if it has been closed already."""
        stack = self.app.screen_stack
        if self not in stack[1:]:
            return AwaitComplete()
        while self.app.screen_stack[-1] is not self:
            self.app.pop_screen()
        return super().dismiss(result)

    def run_worker(self, *given: Any, **options: Any) -> Worker[Any]:
        """Run a worker whose failure ends only itself: what it asks for may have gone meanwhile.

        A screen that is left takes its workers with it. What they read nobody waits for any more;
        but what the user has ordered is to be done and told: that is the app's.
        """
        options["exit_on_error"] = False
        if options.get("group") in ORDERS:
            return self.app.run_worker(*given, **options)
        return super().run_worker(*given, **options)
