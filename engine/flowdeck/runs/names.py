"""Names of runs, flows and tasks, and the characters they may hold."""

from __future__ import annotations

import copy
import functools
import zlib
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import InvalidNameError

if TYPE_CHECKING:
    import random

#: These would break references (``RUN/task``), URLs and templates.
BANNED_CHARACTERS: Final = ("/", "%", "&", ">", "<")


@functools.cache
def _generator() -> Any:
    # Both are imported late: coolname costs tens of milliseconds, and only a process that creates
    # runs needs it.
    import random

    import coolname

    # A copy with its own source of randomness: the shared generator draws from the module random,
    # so a script that calls random.seed() would get the same run names every time, and naming runs
    # would disturb the script's own numbers. SystemRandom has no state a fork could duplicate.
    generator = copy.copy(coolname.generate_slug.__self__)  # type: ignore[attr-defined]
    generator.random = random.SystemRandom()
    return generator


def slug(rng: random.Random | None = None) -> str:
    """Return a random name of two lower-case words joined by a hyphen, such as ``ivory-caiman``.

    Args:
        rng: draw from this generator instead of the system's, for names that can be repeated.
    """
    generator = _generator()
    if rng is not None:
        generator = copy.copy(generator)
        generator.random = rng
    text: str = generator.generate_slug(2)
    return text


def check_name(name: str, what: str) -> None:
    """Refuse a name that holds a character of :data:`BANNED_CHARACTERS`.

    Args:
        name: the name of a flow, task or run.
        what: what it names, as the message shall call it (``"flow name"``).

    Raises:
        InvalidNameError: it holds one; the message says which.
    """
    found = [character for character in BANNED_CHARACTERS if character in name]
    if found:
        raise InvalidNameError(
            f"The {what} {name!r} contains an invalid character: {' '.join(found)}. "
            f"Must not contain any of: {list(BANNED_CHARACTERS)}."
        )


def flow_display_name(fn_name: str) -> str:
    """Return the default name of the flow made from a function of this name."""
    return fn_name.replace("_", "-").replace("<lambda>", "unknown-lambda")


def task_key_hash(key: str) -> str:
    """Return 8 hex digits for a task's key: the same in every process and on every machine."""
    return f"{zlib.crc32(key.encode('utf-8', 'surrogatepass')):08x}"


@functools.lru_cache(maxsize=256)
def tags_text(tags: frozenset[str]) -> str:
    """Return tags as the record has them."""
    import json

    return json.dumps(sorted(tags))
