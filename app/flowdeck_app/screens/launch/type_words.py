"""Types in the few letters that a form has for them: ``full|fast``, ``date?``, ``list[Path]``. Pure."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Longer annotations are shown as they are: nobody reads so much of one anyway.
_LONGEST: Final = 1_000


def type_word(annotation: str, choices: Sequence[str] = (), *, nullable: bool = False) -> str:
    """Return an annotation without its modules, ``X | None`` as ``X?``, a choice as its values.

    Args:
        annotation: as it stands in the source, or as Python writes it.
        choices: the values to choose from, if it is a ``Literal`` or an enum.
        nullable: ``None`` is one of the values.
    """
    if choices:
        return "|".join(choice for choice in choices) + ("?" if nullable else "")
    if not annotation or len(annotation) > _LONGEST:
        return annotation or "any"
    try:
        return _word(ast.parse(annotation.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return annotation


def _word(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return "any" if node.id == "Any" else node.id
    if isinstance(node, ast.Attribute):
        return "any" if node.attr == "Any" else node.attr
    if isinstance(node, ast.Constant):
        return _constant(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(_flat(node))
    if isinstance(node, ast.Subscript):
        return _subscript(node)
    return ast.unparse(node)


def _constant(node: ast.Constant) -> str:
    if isinstance(node.value, str):  # a forward reference
        return _word(ast.parse(node.value.strip(), mode="eval").body)
    return "..." if node.value is ... else str(node.value)


def _flat(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_flat(node.left), *_flat(node.right)]
    return [node]


def _union(nodes: Sequence[ast.expr]) -> str:
    words = [_word(node) for node in nodes]
    some = [word for word in words if word not in {"None", "NoneType"}]
    return "|".join(some) + ("?" if len(some) < len(words) else "") if some else "None"


def _subscript(node: ast.Subscript) -> str:
    base = _word(node.value)
    inside = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if base == "Optional":
        return _union([*inside, ast.Constant(None)])
    if base == "Union":
        return _union(inside)
    if base == "Annotated" and inside:
        return _word(inside[0])
    if base == "Literal":
        values = (one.value if isinstance(one, ast.Constant) else _word(one) for one in inside)
        return "|".join(map(str, values))
    return f"{base}[{', '.join(map(_word, inside))}]"
