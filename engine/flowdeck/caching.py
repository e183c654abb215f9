"""Keys under which results are re-used, and delays between retries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

#: More configured delays than this are refused (the peer's limit).
MAX_DELAYS: Final = 50


def task_input_hash(context: Any, arguments: dict[str, Any]) -> str | None:
    """Return a key made of the task, its code and its arguments; for ``cache_key_fn``.

    To the code belongs what the function uses of the user's, as far as that can be told; see
    :mod:`flowdeck.values.code_digest`.

    Args:
        context: has the ``task``.
        arguments: the parameters by name.

    Returns:
        32 hex digits; ``None`` (do not cache) if an argument, or something that the function closes
        over, cannot be hashed.
    """
    return call_key(context, arguments)


def call_key(
    context: Any,
    arguments: Mapping[str, Any],
    *,
    source: bool = True,
    more: Sequence[tuple[str, str, Any]] = (),
) -> str | None:
    """Return a key made of the task's name and what is chosen; everything that makes keys of contents
    comes here, so what cannot be hashed is told alike.

    Args:
        context: has the ``task``, and the ``task_run`` in whose log it is said why there is no key.
        arguments: those that count, by name.
        source: whether the task's code counts.
        more: what else counts: a name that no argument has, what it is called in the log, and the
            value.

    Returns:
        32 hex digits; ``None`` (do not cache) if something cannot be hashed.
    """
    import hashlib

    task, code = context.task, ""
    if source:
        from flowdeck.values.code_digest import code_digest

        found = code_digest(task.fn)
        if found.hex is None:
            _tell(
                context, f"its function closes over {found.lacking}, whose content cannot be told"
            )
            return None
        code = found.hex
    digest = hashlib.blake2b(digest_size=16)
    groups = [("an argument", _parts(task, code, arguments))]
    groups += [(called, _parts_of(name, value)) for name, called, value in more]
    for called, parts in groups:
        try:
            for part in parts:
                digest.update(b"%d:" % len(part))
                digest.update(part)
        except Exception as problem:  # pickling may raise anything
            _tell(context, f"{called} cannot be pickled ({type(problem).__name__}: {problem})")
            return None
    return digest.hexdigest()


def _tell(context: Any, why: str) -> None:
    run = getattr(context, "task_run", None)
    if run is not None:
        from flowdeck.logging import INFO, line

        line(run, INFO, f"Not cached: {why}.")


def same(one: Any, other: Any) -> bool:
    """Say whether two plain values (and what they are made of) are equal and of the same types, and
    their dicts in the same order: code may go through them."""
    from flowdeck.values.content import joined

    return joined(_in_order(one)) == joined(_in_order(other))


def _in_order(value: Any, within: frozenset[int] = frozenset()) -> Any:
    """Return a value with its dicts as lists of pairs: their contents go in sorted otherwise."""
    kind = type(value)
    if kind not in {dict, list, tuple} or id(value) in within or len(within) > 50:
        return value
    inner = within | {id(value)}
    if kind is dict:
        return "dict", [(key, _in_order(item, inner)) for key, item in value.items()]
    return kind(_in_order(item, inner) for item in value)


def digest_of(values: Iterable[tuple[str, Any]]) -> str | None:
    """Return 32 hex digits that stand for named values, the order of dicts included; ``None`` if one
    cannot be pickled."""
    import hashlib

    from flowdeck.values.content import joined

    digest = hashlib.blake2b(digest_size=16)
    try:
        for name, value in sorted(values, key=lambda pair: pair[0]):
            part = joined((name, _in_order(value)))
            digest.update(b"%d:" % len(part))
            digest.update(part)
    except Exception:  # pickling may raise anything
        return None
    return digest.hexdigest()


def _parts(task: Any, code: str, arguments: Mapping[str, Any]) -> Iterator[bytes]:
    key = getattr(task, "key", None) or f"{task.fn.__module__}:{task.fn.__qualname__}"
    yield str(key).encode("utf-8", "surrogatepass")
    yield code.encode()
    for name in sorted(arguments):
        yield from _parts_of(name, arguments[name])


def _parts_of(name: str, value: Any) -> Iterator[bytes]:
    from flowdeck.values.content import parts_of

    yield name.encode("utf-8", "surrogatepass")
    yield from parts_of(value)


# -- delays -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Backoff:
    """Delays that double; an object, so that tasks that hold it can be pickled."""

    factor: float

    def __call__(self, retries: int) -> list[float]:
        return [self.factor * 2**number for number in range(min(retries, MAX_DELAYS))]


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """Return retry delays that double, for ``retry_delay_seconds``.

    Args:
        backoff_factor: the first delay in seconds; the n-th is ``backoff_factor * 2**(n - 1)``.
    """
    return _Backoff(backoff_factor)
