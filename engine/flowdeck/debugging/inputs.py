"""Where the value of each input of a recorded task run comes from, or why it cannot be had. Pure.

The record has a short text of every input and, of those that were results, which task run returned
them; it has no values. So values are looked for where they may be, and each one found has to look as
the recorded text does: a result may have been passed as a whole, in parts (``a, b = split()``), in a
list with others, or changed on the way, and the record does not say which. What is not shown to be the
value is not taken for it: a debugger in front of wrong inputs is worse than none.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.debugging.texts import says_place, shows, value_in
from flowdeck.values.redaction import HIDDEN
from flowdeck.values.statics import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Parts of a result that are looked at.
_PARTS: Final = 1_000
#: What is said of a value that has the recorded text, where many values have.
_AS_FAR: Final = "the same as far as the record shows"


@dataclass(frozen=True, slots=True)
class Restored:
    """An input that can be given again.

    Attributes:
        value: it.
        how: where it comes from: ``the kept result of fetch-0 (1.1)``.
    """

    value: Any
    how: str


@dataclass(frozen=True, slots=True)
class Lost:
    """An input that cannot.

    Attributes:
        why: a clause.
        remedy: what to do about it now, and so that it is kept next time.
        can_be_computed: task runs that completed can be done again for it.
    """

    why: str
    remedy: str
    can_be_computed: bool = False


def restore(
    name: str,
    text: str | None,
    upstreams: Sequence[Restored | Lost] = (),
    others: Sequence[Restored] = (),
) -> Restored | Lost:
    """Decide about one input.

    Args:
        name: of the parameter.
        text: what the record shows of it; ``None``: nothing.
        upstreams: what the task runs returned that it was made of, in the order of their numbers.
        others: values that it may be: the flow's parameters, the default.
    """
    give = f"-p {name}=JSON gives it"
    if text is None:
        return Lost("the record does not show what it was", f"{give}.")
    if text == HIDDEN:
        return Lost("it is hidden in the record", f"{give}: secrets are not recorded.")
    missing = next((each for each in upstreams if isinstance(each, Lost)), None)
    if upstreams and missing is None:
        found = _of_results(name, text, [r for r in upstreams if isinstance(r, Restored)])
        if found is not None:
            return found
    if (known := value_in(name, text)) is not None:
        return Restored(known[0], "the record shows all of it")
    if HIDDEN in text:
        return Lost("part of it is hidden in the record", f"{give}: secrets are not recorded.")
    for other in others:
        if shows(name, other.value, text):
            sure = not (text.endswith("…") or says_place(text))
            return other if sure else Restored(other.value, f"{other.how}, {_AS_FAR}")
    if missing is not None:
        all_can = all(r.can_be_computed for r in upstreams if isinstance(r, Lost))
        return Lost(missing.why, f"{missing.remedy} {give} now.".strip(), all_can)
    if upstreams:
        return Lost(
            f"what {_names(upstreams)} returned was changed before it was passed on",
            f"{give}. Pass results as they are, and they are found again.",
        )
    return Lost(
        "the record has a short text of it, not the value, and no task run returned it",
        f"{give}. Made by a task with persist_result=True (or with the setting "
        "persist_results = true) it would be kept.",
    )


def _names(upstreams: Sequence[Restored | Lost]) -> str:
    found = [each.how for each in upstreams if isinstance(each, Restored)]
    return found[0].partition(" result of ")[2] if len(found) == 1 else f"{len(found)} task runs"


def _of_results(name: str, text: str, results: Sequence[Restored]) -> Restored | None:
    """Return the value that was made of these results, if there is one that looks like it."""
    values = [result.value for result in results]
    if len(results) == 1:
        whole = results[0]
        if shows(name, whole.value, text):
            return whole
        for kind in (list, tuple):
            if shows(name, kind(values), text):
                return Restored(kind(values), f"{whole.how}, in a {kind.__name__}")
        return _one_like(
            name, text, [Restored(v, f"item {where} of {whole.how}") for where, v in _parts(whole)]
        )
    ways = f"the results of {len(results)} task runs"
    for kind in (list, tuple):
        if shows(name, kind(values), text):
            how = f"{ways}, in a {kind.__name__} in the order of their numbers"
            return Restored(kind(values), how)
    return _one_like(name, text, list(results))


def _one_like(name: str, text: str, candidates: Sequence[Restored]) -> Restored | None:
    alike = [each for each in candidates if shows(name, each.value, text)]
    return alike[0] if len(alike) == 1 else None


def _parts(whole: Restored) -> Iterator[tuple[str, Any]]:
    value = whole.value
    if isinstance(value, (list, tuple)):
        found = ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, dict):
        found = ((f"[{key!r}]"[:60], item) for key, item in value.items())
    else:
        return
    yield from itertools.islice(found, _PARTS)


def as_json(name: str, text: str | None, found: Restored | Lost) -> dict[str, Any]:
    """Return what is said of one input as a JSON object."""
    shared = {"name": name, "text": text}
    if isinstance(found, Lost):
        return {**shared, "restored": False, "why": found.why, "remedy": found.remedy}
    return {**shared, "restored": True, "how": found.how, "type": type_name(found.value)}
