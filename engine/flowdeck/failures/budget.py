"""Make a captured exception fit a size, giving up what helps least first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Node = dict[str, Any]


def fit(exception: Node, size: int) -> Node:
    """Shorten ``exception`` (in place) until its JSON has at most ``size`` characters."""
    if _size(exception) <= size:
        return exception
    for shorten in _STEPS:
        for node in _nodes(exception):
            shorten(node)
        if _size(exception) <= size:
            break
    before = exception.get("truncated")
    text = f"shortened to {size // 1024} KB" if size >= 1024 else f"shortened to {size} bytes"
    exception["truncated"] = f"{before}; {text}" if before else text
    return exception


def _size(exception: Node) -> int:
    return len(json.dumps(exception, separators=(",", ":")))


def _nodes(exception: Node) -> Iterator[Node]:
    waiting = [exception]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [node[key] for key in ("cause", "context") if node.get(key)]
        waiting += node.get("group") or []


def _around(frame: Node, reach: int) -> None:
    """Keep only so many source lines before and after the current one."""
    if frame.get("source"):
        first, lines = frame["source"]
        index = frame["lineno"] - first
        start = max(0, index - reach)
        frame["source"] = [first + start, lines[start : index + reach + 1]]


def _library_source(node: Node) -> None:
    for frame in node["frames"]:
        if not frame["is_user"]:
            _around(frame, 0)


def _short_reprs(node: Node) -> None:
    for frame in node["frames"]:
        for variable in frame["locals"]:
            if len(variable["repr"]) > 80:
                variable["repr"] = variable["repr"][:79] + "…"


def _little_source(node: Node) -> None:
    for frame in node["frames"]:
        _around(frame, 2)


def _last_locals(node: Node) -> None:
    for frame in node["frames"][:-3]:
        frame["locals"] = []


def _fewer_frames(keep: int) -> Callable[[Node], None]:
    def shorten(node: Node) -> None:
        frames = node["frames"]
        if len(frames) > 2 * keep:
            gone = frames[keep:-keep]
            skipped = len(gone) + sum(frame.get("skipped", 0) for frame in frames)
            node["frames"] = frames[:keep] + frames[-keep:]
            for frame in node["frames"]:
                frame.pop("skipped", None)
            node["frames"][keep]["skipped"] = skipped

    return shorten


def _no_locals(node: Node) -> None:
    for frame in node["frames"]:
        frame["locals"] = []
        _around(frame, 0)


def _short_texts(node: Node) -> None:
    node["notes"] = [note[:200] for note in node["notes"][:2]]
    node["message"] = node["message"][:500]
    if node.get("syntax"):
        node["syntax"] = {**node["syntax"], "text": None}


def _small_family(node: Node) -> None:
    node["group"] = node["group"][:3]
    for key in ("cause", "context"):
        if node.get(key):
            node[key] = {**node[key], "cause": None, "context": None}


def _alone(node: Node) -> None:
    node["group"], node["cause"], node["context"] = [], None, None
    node["frames"] = node["frames"][-2:]
    node["notes"] = []


#: From what is missed least to what is missed most.
_STEPS: Final[tuple[Callable[[Node], None], ...]] = (
    _library_source,
    _short_reprs,
    _fewer_frames(20),
    _last_locals,
    _little_source,
    _fewer_frames(5),
    _no_locals,
    _short_texts,
    _small_family,
    _alone,
)
