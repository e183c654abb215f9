"""Ray's errors, without what Ray wraps around them."""

from __future__ import annotations

import re
from typing import Final

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


def cause_of(error: BaseException) -> BaseException:
    """Return the error that says what happened.

    A ``RayTaskError`` is how an error inside of a worker travels: what it was there counts.
    """
    import ray.exceptions

    while isinstance(error, ray.exceptions.RayTaskError):
        cause = getattr(error, "cause", None)
        if not isinstance(cause, BaseException) or cause is error:
            break
        error = cause
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("flowdeck"):
        return ModuleNotFoundError(
            f"Ray's workers cannot import flowdeck ({error}): install it where they run, with "
            f"the same version, or have Ray do so: init_kwargs={{'runtime_env': {{'pip': "
            f"['flowdeck[ray]']}}}}."
        )
    return error


def plain(text: str) -> str:
    """Return a message of Ray's without colours."""
    return _COLOURS.sub("", text)
