"""Lists of recorded things that become tables in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Row(Protocol):
    """What can be a row of a table."""

    @property
    def to_dict(self) -> Callable[..., dict[str, Any]]: ...


class RunOfTable(Protocol):
    """What a flow run's columns are made of."""

    @property
    def parameters(self) -> dict[str, Any]: ...
    @property
    def figures(self) -> dict[str, float]: ...
    @property
    def result_or_preview(self) -> Callable[[], Any]: ...


R = TypeVar("R", bound=Row)

#: Rows that a notebook shows.
_SHOWN: Final = 20


class Rows(list[R]):
    """A list of recorded things, in the order they were asked for."""

    def _repr_html_(self) -> str:
        from flowdeck.values import html

        shown = [row.to_dict() for row in self[:_SHOWN]]
        names = list(dict.fromkeys(name for row in shown for name, value in row.items() if value))
        cells = [[html.escaped("" if (v := row.get(name)) is None else v, 200) for name in names]
                 for row in shown]  # fmt: skip
        return html.table(names, cells, max(0, len(self) - _SHOWN))

    def to_dicts(self, **options: bool) -> list[dict[str, Any]]:
        """Return a dict for each, all with the same keys.

        Args:
            **options: as the ``to_dict`` of what is in the list takes them: ``parameters=True``
                and ``figures=True`` (of flow runs), ``inputs=True`` (of task runs), ``results=True``.
        """
        rows = [row.to_dict(**options) for row in self]
        names = dict.fromkeys(name for row in rows for name in row)
        return [{name: row.get(name) for name in names} for row in rows]

    def to_pandas(self, **options: bool) -> Any:
        """Return a ``pandas.DataFrame`` with a row for each.

        Args:
            **options: see :meth:`to_dicts`.

        Raises:
            ModuleNotFoundError: pandas is not installed; it is no dependency of flowdeck.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "to_pandas() needs pandas, which flowdeck does not bring along: `pip install "
                "pandas`. to_dicts() gives the same rows without it.",
                name=error.name,
            ) from None
        return pandas.DataFrame(self.to_dicts(**options))


def joined(prefix: str, values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the columns of values that belong to a row: ``parameters.day`` and so on."""
    return {f"{prefix}.{name}": value for name, value in values}


def run_columns(
    run: RunOfTable, *, parameters: bool, results: bool, figures: bool
) -> dict[str, Any]:
    """Return the columns of a flow run that are asked for."""
    row: dict[str, Any] = {}
    if parameters:
        row |= joined("parameters", run.parameters.items())
    if figures:
        row |= joined("figures", run.figures.items())
    if results:
        row["result"] = run.result_or_preview()
    return row


def query_text(query: object) -> str:
    """Return a filter as it was given; ``None`` is none.

    Raises:
        TypeError: it is no text.
    """
    if query is None:
        return ""
    if isinstance(query, str):
        return query
    raise TypeError(
        f"a query is a text such as 'state:failed since:7d', not {type(query).__name__}; "
        "run(ref) and task(ref) find one by its number or name."
    )


def least_limit(limit: int) -> int:
    """Return how many to return at most.

    Raises:
        ValueError: it is below 0.
    """
    if limit < 0:
        raise ValueError(f"limit is a number from 0 (all) on, not {limit}.")
    return limit
