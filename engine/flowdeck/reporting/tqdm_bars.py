"""Bars of tqdm that tell the progress of the run they are in.

Where tqdm is installed, its own class does all it always did and tells besides; where it is not,
:class:`CountingBar` has those of its methods that loops use, and draws nothing. Of several bars of one run the
first one tells until it is closed: inner loops would make a percentage jump to and fro.

``refresh`` is where tqdm has decided, by its own ``mininterval``, that something is to be seen: the
loop itself costs what it costs anyway. It is the same in tqdm's classes for notebooks and rich.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, Self

from flowdeck.reporting.progress import pace_of_current_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MARK: Final = "_flowdeck_tells"


def tell(bar: Any) -> None:
    """Tell how far a bar is."""
    pace = pace_of_current_run()
    if pace is not None and pace.claim(bar):
        message = str(getattr(bar, "desc", None) or "").rstrip(": ") or None
        pace.say(bar.n, bar.total, message)


def tell_the_end(bar: Any) -> None:
    """Tell where a bar ended."""
    pace = pace_of_current_run()
    if pace is not None and pace.claim(bar):
        tell(bar)
        pace.release(bar)


def patch() -> bool:
    """Have tqdm's own class tell in this process, whoever imported it; say whether it is installed.

    Twice is no harm. Bars with ``disable=True`` count nothing, so they tell nothing.
    """
    try:
        from tqdm.std import tqdm
    except ImportError:
        return False
    if not hasattr(tqdm, _MARK):
        tqdm.refresh = _with(tqdm.refresh, tell, before=False)
        tqdm.close = _with(tqdm.close, tell_the_end, before=True)
        setattr(tqdm, _MARK, True)
    return True


def _with(method: Any, then: Callable[[Any], None], *, before: bool) -> Any:
    @functools.wraps(method)
    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        if before and not self.disable:
            then(self)
        value = method(self, *args, **kwargs)
        if not before and not self.disable:
            then(self)
        return value

    return both


def drop_in() -> Any:
    """Return a class to be used as tqdm's: one below tqdm's own, else :class:`CountingBar`."""
    try:
        from tqdm.std import tqdm
    except ImportError:
        return CountingBar

    def refresh(self: Any, *args: Any, **kwargs: Any) -> Any:
        drawn = tqdm.refresh(self, *args, **kwargs)
        if not self.disable and not hasattr(tqdm, _MARK):
            tell(self)
        return drawn

    def close(self: Any) -> None:
        if not self.disable:
            tell_the_end(self)
        tqdm.close(self)

    return type("tqdm", (tqdm,), {"refresh": refresh, "close": close, "__doc__": tqdm.__doc__})


class CountingBar:
    """What loops use of a bar of tqdm's, without tqdm: it counts and tells, and draws nothing.

    Args:
        iterable: what to iterate over.
        desc: what is done.
        total: how many there are.
        disable: count, but tell nothing.
        initial: where to begin to count.
        options: of tqdm's, how it draws.
    """

    def __init__(
        self, iterable: Iterable[Any] | None = None, desc: str | None = None,
        total: float | None = None, *_: Any, disable: bool | None = False, initial: float = 0,
        **options: Any,
    ) -> None:  # fmt: skip
        if total is None and iterable is not None:
            try:
                total = len(iterable)  # type: ignore[arg-type]
            except (TypeError, AttributeError):
                total = None
        self.iterable, self.desc, self.total = iterable, desc or "", total
        self.n, self.disable = initial, bool(disable)
        self.refresh()

    def __iter__(self) -> Iterator[Any]:
        try:
            for item in self.iterable or ():
                yield item
                self.update()
        finally:
            self.close()

    def __len__(self) -> int:
        return int(self.total or 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, n: float | None = 1) -> None:
        """Count."""
        self.n += 1 if n is None else n
        self.refresh()

    def refresh(self, *_: Any, **__: Any) -> None:
        """Tell how far it is."""
        if not self.disable:
            tell(self)

    def reset(self, total: float | None = None) -> None:
        """Begin again."""
        self.n = 0
        self.total = self.total if total is None else total
        self.refresh()

    def close(self) -> None:
        """Tell where it ended; it says nothing more."""
        if not self.disable:
            tell_the_end(self)
            self.disable = True

    def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
        """Say what is done."""
        self.desc = desc or ""
        if refresh:
            self.refresh()

    set_description_str = set_description

    def set_postfix(self, *_: Any, **__: Any) -> None:
        """Nothing is drawn."""

    set_postfix_str = clear = unpause = display = set_postfix

    @staticmethod
    def write(s: str, *_: Any, **__: Any) -> None:
        """Print a line."""
        print(s)
