"""Ray's errors, without what Ray wraps around them."""

from __future__ import annotations


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
    return error
