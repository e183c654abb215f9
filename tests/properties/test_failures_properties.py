"""Whatever is raised, however it is chained: a capture is bounded, encodable and can be joined."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowdeck.failures.capture import Budget, capture, render
from flowdeck_store.failures import join


def chained(error: BaseException, other: BaseException, link: str) -> BaseException:
    setattr(error, link, other)
    return error


def noted(error: BaseException, notes: list[str]) -> BaseException:
    for note in notes:
        error.add_note(note)
    return error


def raised(error: BaseException, depth: int) -> BaseException:
    def down(left: int) -> None:
        if left:
            down(left - 1)
        raise error

    try:
        down(depth)
    except BaseException as same:
        return same
    raise AssertionError("unreachable")


texts = st.text(st.characters(), max_size=50)
plain = st.builds(
    lambda kind, args: kind(*args),
    st.sampled_from([ValueError, KeyError, RuntimeError, Exception, KeyboardInterrupt]),
    st.lists(texts | st.integers() | st.binary(max_size=10), max_size=3),
)
errors = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.builds(chained, inner, inner, st.sampled_from(["__cause__", "__context__"])),
        st.builds(noted, inner, st.lists(texts, max_size=3)),
        st.builds(raised, inner, st.integers(0, 120)),
        st.lists(inner, min_size=1, max_size=4).map(lambda found: BaseExceptionGroup("g", found)),
    ),
    max_leaves=12,
)


def nodes(found: dict[str, Any]) -> list[dict[str, Any]]:
    children = [found[key] for key in ("cause", "context") if found[key]] + found["group"]
    return [found, *(node for child in children for node in nodes(child))]


@given(errors)
def test_every_exception_is_captured_within_bounds(error: BaseException) -> None:
    captured = capture(error)
    for text in (captured.exc_type, captured.exc_msg, captured.structure, captured.text):
        text.encode()
    assert len(captured.structure) + len(captured.variables) < 66 * 1024
    found = join(captured.structure, captured.variables)
    assert found["type"] == type(error).__qualname__
    assert found["message"] == captured.exc_msg
    everything = nodes(found)
    assert len(everything) <= Budget().exceptions
    assert all(len(node["frames"]) <= Budget().frames for node in everything)
    assert captured.text == render(found)


@given(errors, st.integers(300, 20_000))
def test_any_size_is_kept_unless_one_message_alone_is_larger(
    error: BaseException, size: int
) -> None:
    captured = capture(error, budget=Budget(size=size))
    assert len(captured.structure) + len(captured.variables) < max(size, 2500) + 200


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(
    st.lists(st.builds(lambda a, b: {"type": a, "message": b}, json_like, json_like), max_size=3)
)
def test_rendering_takes_any_type_and_message(group: list[dict[str, Any]]) -> None:
    found = {"type": "G", "group": json.loads(json.dumps(group))}
    assert render(found).startswith("G")
