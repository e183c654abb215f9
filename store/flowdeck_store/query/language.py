"""The filter language: ``state:failed,crashed flow:etl* since:7d -tag:test "connection reset"``.

A pure core: text becomes a tuple of :class:`Term`, and these become a WHERE condition with
parameters. Terms stand beside each other (all must hold), a comma means *or*, ``-`` in front turns
a term round, ``*`` stands for anything, quotes make any text a plain value. Words without a filter
are searched for in what the rows show. Comparing ignores the case of ASCII letters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from flowdeck_store.errors import QueryError
from flowdeck_store.events import now_us as _now_us
from flowdeck_store.query import values
from flowdeck_store.query.fields import (
    FIELDS,
    SUBJECTS,
    Condition,
    FilterField,
    Parameter,
    Subject,
    Value,
    text_condition,
)

__all__ = ["FIELDS", "Query", "Subject", "Term", "Value", "parse", "quote"]

#: A longer text or more values than this is no filter that somebody typed; SQLite has limits too
#: (1,000 levels of AND, 50,000 bytes in a pattern).
MAX_LENGTH: Final = 4_000
MAX_VALUES: Final = 200

_FIELD: Final = re.compile(r"([A-Za-z_]+):")
_BARE_WORD: Final = re.compile(r"\S+")
_BARE_VALUE: Final = re.compile(r"[^\s,]+")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. ``field`` is ``None`` for free text; the values are alternatives."""

    field: str | None
    values: tuple[Value, ...]
    negated: bool
    position: int


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed filter; see :func:`parse`."""

    text: str = ""
    terms: tuple[Term, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is filtered out."""
        return not self.terms

    def mentions(self, field: str) -> bool:
        """Whether the filter has a term of this field."""
        return any(term.field == field for term in self.terms)

    @property
    def moves(self) -> bool:
        """Whether what the filter lets through depends on the time now."""
        return self.mentions("duration") or any(
            values.is_relative_time(value.text)
            for term in self.terms
            if term.field in {"since", "until"}
            for value in term.values
        )

    def sql(self, subject: Subject, now_us: int | None = None) -> tuple[str, list[Parameter]]:
        """Return a WHERE condition for the subject's table and its parameters.

        The condition uses the alias ``r`` for ``flow_runs``, ``t`` for ``task_runs``, ``l`` for
        ``logs``; a row for which it is NULL does not match, and ``-term`` lets through exactly
        the rows that ``term`` does not.

        Args:
            subject: which table is filtered.
            now_us: the time that ``since:7d`` counts from (default: now).

        Raises:
            QueryError: a filter does not go with the subject.
        """
        now = _now_us() if now_us is None else now_us
        parts: list[str] = []
        parameters: list[Parameter] = []
        for term in self.terms:
            condition, its_parameters = _compile(term, subject, now)
            parts.append(condition)
            parameters.extend(its_parameters)
        return (" AND ".join(parts) or "1"), parameters


def parse(text: str, subject: Subject | None = None) -> Query:
    """Parse a filter.

    Args:
        text: what was typed; empty or blank text filters nothing.
        subject: when given, filters that do not go with it are errors at once.

    Raises:
        QueryError: with the place, and the word that was probably meant.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the filter is longer than {MAX_LENGTH} characters", MAX_LENGTH)
    text = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot go to SQLite
    terms = tuple(_Scanner(text).terms())
    if sum(len(term.values) for term in terms) > MAX_VALUES:
        raise QueryError(f"the filter has more than {MAX_VALUES} values")
    for term in terms:
        _compile(term, subject or _field_of(term).subjects[0], 0)
    return Query(text, terms)


def quote(value: str) -> str:
    """Return any text as a quoted value, so that ``parse(f"name:{quote(x)}")`` means just that."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_FREE_TEXT: Final = FilterField(
    "text", SUBJECTS, "any text", lambda value, subject, _: text_condition(value.text, subject)
)


def _field_of(term: Term) -> FilterField:
    return _FREE_TEXT if term.field is None else FIELDS[term.field]


def _compile(term: Term, subject: Subject, now_us: int) -> Condition:
    field = _field_of(term)
    if subject not in field.subjects:
        fitting = " and ".join(field.subjects)
        raise QueryError(f"{field.name}: filters {fitting}, not {subject}", term.position)
    conditions: list[str] = []
    parameters: list[Parameter] = []
    for value in term.values:
        try:
            condition, its_parameters = field.compile(value, subject, now_us)
        except ValueError as error:
            raise QueryError(f"{field.name}: {error}", value.position) from None
        conditions.append(condition)
        parameters.extend(its_parameters)
    # NULL (a run without end, a task without worker) is no match, so its complement is one. The
    # positive form stays bare, so that SQLite can use an index for it.
    verdict = " IS NOT TRUE" if term.negated else ""
    return f"({' OR '.join(conditions)}){verdict}", tuple(parameters)


class _Scanner:
    """Cuts the text into terms, left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def terms(self) -> list[Term]:
        found = []
        while self._skip_blank():
            found.append(self._term())
        return found

    def _skip_blank(self) -> bool:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def _term(self) -> Term:
        start = self.at
        negated = self.text[start] == "-" and not self._ends_at(start + 1)
        if negated:
            self.at += 1
        match = _FIELD.match(self.text, self.at)
        if match is None:
            return Term(None, (self._value(_BARE_WORD),), negated, start)
        name = match[1].casefold()
        if name not in FIELDS:
            raise self._unknown_field(match)
        self.at = match.end()
        return Term(name, self._values(name), negated, start)

    def _values(self, field: str) -> tuple[Value, ...]:
        found = [self._field_value(field)]
        while not self._ends_at(self.at):
            self.at += 1  # the comma: a value ends only there, at a blank or at the end
            found.append(self._field_value(field))
        return tuple(found)

    def _field_value(self, field: str) -> Value:
        if self._ends_at(self.at) or self.text[self.at] == ",":
            raise QueryError(f"{field}: needs a value ({FIELDS[field].help})", self.at)
        value = self._value(_BARE_VALUE)
        if not self._ends_at(self.at) and self.text[self.at] != ",":
            raise QueryError("a blank or a comma must follow the closing quote", self.at)
        return value

    def _value(self, bare: re.Pattern[str]) -> Value:
        start = self.at
        if self.text[start] == '"':
            return Value(self._quoted(), True, start)
        match = bare.match(self.text, start)
        assert match is not None  # callers look for a blank first
        self.at = match.end()
        return Value(match[0], False, start)

    def _quoted(self) -> str:
        start = self.at
        self.at += 1
        characters: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            following = self.text[self.at + 1 : self.at + 2]
            if character == '"':
                self.at += 1
                return "".join(characters)
            if character == "\\" and following in {'"', "\\"}:
                character = following
                self.at += 1
            characters.append(character)
            self.at += 1
        raise QueryError("the quote that opens here is not closed", start)

    def _ends_at(self, index: int) -> bool:
        return index >= len(self.text) or self.text[index].isspace()

    def _unknown_field(self, match: re.Match[str]) -> QueryError:
        name = match[1]
        hint = values.near(name, FIELDS) or f"; there are {', '.join(FIELDS)}."
        search = f' To search for the text, quote it: "{name}:…"'
        return QueryError(f"there is no filter {values.shown(name)}{hint}{search}", match.start())
