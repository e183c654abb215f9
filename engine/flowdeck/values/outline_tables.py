"""Outlines of tables and arrays: shape, types, the first rows, the least and the greatest value.

Called with a deadline, as the code of libraries and of what objects in cells say of themselves runs
here. What is looked at is bounded beforehand, for C code cannot be interrupted.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.redaction import HIDDEN, is_hidden, without_secrets
from flowdeck.values.safe_repr import Walker
from flowdeck.values.statics import bound, encodable, is_a, module_of, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Hides = Callable[[str], bool] | None

#: Packages whose tables and arrays are drawn.
PACKAGES: Final = frozenset({"numpy", "pandas", "polars", "torch"})
#: Rows and columns that are shown, and characters of a cell and of a name.
_ROWS: Final = 8
_COLUMNS: Final = 16
_CELL: Final = 32
#: Items of an array of one dimension that are shown.
_ITEMS: Final = 24
#: Least and greatest value are looked for among so many items; of more, among an even draw.
_LOOKED_AT: Final = 2_000_000
_DRAWN: Final = 200_000
#: Kinds of numpy's types that have an order.
_ORDERED: Final = frozenset("biufmM")


def of_pandas(frame: Any, hides: Hides) -> dict[str, Any]:
    """Return the outline of a pandas DataFrame."""
    head = frame.iloc[:_ROWS, :_COLUMNS]
    names, dtypes = list(head.columns), list(head.dtypes)
    cells = [_column(names[at], head.iloc[:, at].tolist(), hides) for at in range(len(names))]
    return _frame(frame, names, dtypes, cells, hides, [_cell(i, hides) for i in head.index])


def of_pandas_series(series: Any, hides: Hides) -> dict[str, Any]:
    """Return the outline of a pandas Series: a table with one column."""
    head = series.iloc[:_ROWS]
    name = "" if series.name is None else series.name
    cells = [_column(name, head.tolist(), hides)]
    return _frame(
        series, [name], [series.dtype], cells, hides, [_cell(i, hides) for i in head.index]
    )


def of_polars(frame: Any, hides: Hides) -> dict[str, Any]:
    """Return the outline of a Polars DataFrame."""
    head = frame[:_ROWS]
    names, dtypes = list(frame.columns)[:_COLUMNS], list(frame.dtypes)[:_COLUMNS]
    cells = [_column(name, head.get_column(name).to_list(), hides) for name in names]
    return _frame(frame, names, dtypes, cells, hides)


def of_polars_series(series: Any, hides: Hides) -> dict[str, Any]:
    """Return the outline of a Polars Series: a table with one column."""
    cells = [_column(series.name, series[:_ROWS].to_list(), hides)]
    return _frame(series, [series.name], [series.dtype], cells, hides)


def of_numpy(array: Any, hides: Hides) -> dict[str, Any]:
    """Return the outline of a numpy array."""
    found = _array(array, str(array.dtype), int(array.nbytes))
    step = _step(int(array.size))
    if array.size and array.dtype.kind in _ORDERED:
        numpy = sys.modules["numpy"]
        whole = array.reshape(-1) if array.flags.c_contiguous else array.flat
        seen = array if step == 1 else whole[::step]
        # Unlike min and max these pass over what is not a number, and warn of nothing.
        for name, reduce in (("min", numpy.fmin.reduce), ("max", numpy.fmax.reduce)):
            found[name] = _cell(_plain(reduce(seen, axis=None)), hides)
        found["sampled"] = step > 1
    return found | {"rows": _corner(array, hides)}


def of_torch(tensor: Any, hides: Hides) -> dict[str, Any]:
    """Return the outline of a PyTorch tensor; of one that is on a device, what is known here."""
    size = int(tensor.numel())
    found = _array(tensor, str(tensor.dtype), size * int(tensor.element_size()))
    device = str(tensor.device)
    if device != "cpu":
        return found | {"device": bound(device, _CELL), "rows": []}
    plain = tensor.detach()
    if size and not plain.is_complex():
        step = _step(size)
        seen = plain if step == 1 else plain.flatten()[::step]
        found |= {"min": _cell(seen.min().item(), hides), "max": _cell(seen.max().item(), hides)}
        found["sampled"] = step > 1
    return found | {"rows": _corner(plain, hides)}


def shape_of(table: Any) -> str | None:
    """Return the shape of a table or array in words, ``None`` for what is neither."""
    packages = {module_of(base).partition(".")[0] for base in type(table).__mro__}
    if packages.isdisjoint(PACKAGES):
        return None
    shape = getattr(table, "shape", None)
    return " × ".join(f"{n:,}" for n in shape) if is_a(shape, tuple) and shape else None


def _step(size: int) -> int:
    return 1 if size <= _LOOKED_AT else -(-size // _DRAWN)


def _array(array: Any, dtype: str, nbytes: int) -> dict[str, Any]:
    return {
        "kind": "array",
        "type": type_name(array),
        "shape": [int(length) for length in array.shape],
        "dtype": bound(dtype, 80),
        "nbytes": nbytes,
    }


def _corner(array: Any, hides: Hides) -> list[list[str]]:
    """Return the first items as rows: of more than two dimensions those of the first layer."""
    while len(array.shape) > 2:
        if not array.shape[0]:
            return []
        array = array[0]
    if not len(array.shape):
        return [[_cell(_plain(array), hides)]]
    if len(array.shape) == 1:
        return [[_cell(item, hides) for item in array[:_ITEMS].tolist()]]
    return [[_cell(item, hides) for item in row] for row in array[:_ROWS, :_COLUMNS].tolist()]


def _plain(scalar: Any) -> Any:
    """Return a scalar of numpy as Python's; times stay, as Python's lack their precision."""
    kind = getattr(getattr(scalar, "dtype", None), "kind", "")
    return scalar if kind in {"m", "M"} else scalar.item()


def _frame(
    table: Any, names: Sequence[Any], dtypes: Iterable[Any], columns: Sequence[Sequence[str]],
    hides: Hides, index: Sequence[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    shape = [int(length) for length in table.shape]
    return {
        "kind": "frame",
        "type": type_name(table),
        "shape": shape if len(shape) == 2 else [*shape, 1],
        "columns": [
            {"name": _cell(name, hides), "dtype": bound(str(dtype), _CELL)}
            for name, dtype in zip(names, dtypes, strict=True)
        ],
        "index": None if index is None else list(index),
        "rows": [list(row) for row in zip(*columns, strict=True)],
    }


def _column(name: Any, items: Iterable[Any], hides: Hides) -> list[str]:
    text = name if type(name) is str else ""
    return [
        HIDDEN if is_hidden(text, item, hides) else _cell(item, hides)
        for item in islice(items, _ROWS)
    ]


def _cell(value: Any, hides: Hides) -> str:
    """Return the text of a cell, without what is secret in it."""
    if type(value) is float:
        return f"{value:.6g}"
    if type(value) is str:
        text = value[: 4 * _CELL]
    elif module_of(type(value)) == "datetime":
        text = str(value)
    else:
        text = Walker(4 * _CELL, 2, str, hides).text(value)
    return bound(encodable(text if hides is None else without_secrets(text, hides)), _CELL)
