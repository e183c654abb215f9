"""The numbers that a run left: those in what it returned, and those that it wanted shown.

They are read from the record's texts, so nothing has to be loaded and no code of users runs: of a
result that is a number, a dict or a record (a dataclass, a model) the numbers in its text, as long as
that was recorded whole; and of artifacts the last number under each key.
"""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.read.reader import Reader

#: What a result that is a number by itself is called.
RESULT: Final = "result"
_MOST: Final = 100
_NAMES: Final = {"nan": math.nan, "inf": math.inf}
_DEPTH: Final = 3


def figures_of(reader: Reader, run_id: int, no: int = 0) -> dict[str, float]:
    """Return the numbers of a run by name.

    Args:
        reader: of the record.
        run_id: number of the flow run.
        no: of the task run; 0: the flow run, with what its task runs made artifacts of.
    """
    result = reader.result(run_id, no)
    found = numbers_in(result.preview) if result is not None and result.preview else {}
    return {**found, **reader.artifact_numbers(run_id, no or None)}


def numbers_in(text: str) -> dict[str, float]:
    """Return the numbers in the text of a value: its own, or those of its fields.

    Args:
        text: such as ``{'loss': 0.1, 'best': {'epoch': 3}}``, ``Score(acc=np.float64(0.9))`` or ``0.5``.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return {}  # cut, or of a value without such a text
    number = _number(node)
    if number is not None:
        return {RESULT: number}
    return dict(item for _, item in zip(range(_MOST), _fields(node, "", _DEPTH), strict=False))


def _fields(node: ast.expr, start: str, depth: int) -> Iterator[tuple[str, float]]:
    items: list[tuple[str, ast.expr]] = []
    if isinstance(node, ast.Dict):
        items = [
            (str(key.value), value)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant)
        ]
    elif isinstance(node, ast.Call):
        items = [(word.arg, word.value) for word in node.keywords if word.arg]
    for name, value in items:
        number = _number(value)
        if number is not None:
            yield f"{start}{name}", number
        elif depth > 1:
            yield from _fields(value, f"{start}{name}.", depth - 1)


def _number(node: ast.expr) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant):
        is_number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
        return _as_float(node.value) if is_number else None
    if isinstance(node, ast.Name):
        return _NAMES.get(node.id)
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        # Of NumPy 2: np.float64(0.1).
        return _number(node.args[0]) if name.startswith(("float", "int", "uint")) else None
    return None


def _as_float(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return None
