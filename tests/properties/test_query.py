"""Whatever is typed into a filter: an answer or a QueryError, and text stays a parameter."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from flowdeck_store.errors import QueryError
from flowdeck_store.query.fields import STATE_WORDS, SUBJECTS, Subject
from flowdeck_store.query.language import FIELDS, Query, parse, quote
from flowdeck_store.states import CANCELLED, COMPLETED, CRASHED, FAILED, PENDING, RUNNING, SCHEDULED
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

NOW = T0 + 3600 * SECOND
FROM = {
    "runs": "SELECT r.id FROM flow_runs r",
    "tasks": "SELECT t.id FROM task_runs t",
    "logs": "SELECT l.seq FROM logs l",
}

WORDS = st.sampled_from(
    [
        "state:failed", "state:run*", 'state:"Not Ready"', "flow:etl*", "-flow:hello", "tag:prod",
        "since:7d", "until:2026-11-22", "since:2026-11-22T10:00", "duration:>5s", "id:1..3",
        "duration:1s..2s", "parent:root", "level:>=warning", "logger:a.*", "task:fetch", "name:x",
        "attempt:>1", "worker:w-1", "runner:dask", "type:completed", "fetch", '"two words"', "-no",
        "state:failed,crashed", "100%", "a_b", "\\", "id:1.2",
    ]
)  # fmt: skip
#: Texts that look like filters, and texts that do not.
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=6).map(" ".join),
    st.builds(
        "{}{}:{}".format,
        st.sampled_from(["", "-", "--"]),
        st.sampled_from([*FIELDS, "stat", "NAME"]),
        st.text(max_size=12),
    ),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """Rows of every kind: with and without ends, names, tags, workers."""
    builder = StoreBuilder(tmp_path_factory.mktemp("store"))
    codes = (COMPLETED, FAILED, CRASHED, RUNNING, PENDING, CANCELLED, SCHEDULED)
    for number, code in enumerate(codes):
        run = builder.run(
            f"otter-{number}", flow=("etl", "hello")[number % 2], state=code,
            started=None if code == PENDING else T0, seconds=number * 2.0,
            tags=None if number % 3 else ["prod", "a,b"], runner=None if number % 2 else "dask",
            created=T0 - number * 86_400 * SECOND, attempt=1 + number % 2,
        )  # fmt: skip
        for no, task_code in enumerate(codes, 1):
            name = {PENDING: "NotReady", COMPLETED: "Cached", SCHEDULED: "AwaitingRetry"}
            builder.task(
                run, no, state=task_code, state_name=name.get(task_code) if number % 2 else None,
                worker="w-1" if no % 2 else None, state_msg="100% a_b \\" if no % 3 else None,
                seconds=no * 1.5, attempt=no,
            )  # fmt: skip
            builder.log(run, no, f"line {no}: 100% of a_b\\", level=no * 10, logger=f"a.{no}")
    yield builder.db
    builder.close()


def rows(db: sqlite3.Connection, subject: Subject, query: Query) -> list[int]:
    where, parameters = query.sql(subject, NOW)
    return [row[0] for row in db.execute(f"{FROM[subject]} WHERE {where}", parameters).fetchall()]


@given(TEXTS, st.sampled_from([None, *SUBJECTS]))
def test_any_text_parses_or_is_a_query_error_that_points_into_it(
    text: str, subject: Subject | None
) -> None:
    found: Query | QueryError
    try:
        found = parse(text, subject)
    except QueryError as error:
        found = error
    if isinstance(found, QueryError):
        assert 0 <= found.position <= len(text)
        assert "at character" in str(found)
        assert str(found).isprintable()
    elif subject is not None:
        where, _ = found.sql(subject, NOW)
        assert where


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, subject=st.sampled_from(SUBJECTS))
def test_whatever_parses_runs_in_sqlite(
    store: sqlite3.Connection, text: str, subject: Subject
) -> None:
    try:
        query = parse(text, subject)
    except QueryError:
        assume(False)
    rows(store, subject, query)


#: Everything that the conditions are made of, but numbers.
_VOCABULARY = re.compile(
    r"""[rtlkfsgn]\.[a-z_]+|'note'|'\$\.text'|\?|[()=<>&|,.+-]|<<|>>|'(Not|Cached|Awaiting|Retry|ing|TimedOut|Late|Ready|\\
        |Scheduled|Pending|Running|Completed|Failed|Crashed|Cancelling|Cancelled|Paused)*'
        |\b(AND|OR|NOT|IN|IS|TRUE|LIKE|ESCAPE|SELECT|FROM|WHERE|EXISTS|BETWEEN|CASE|WHEN|THEN|END
        |NULL|coalesce|json_each|json_valid|json_extract|artifacts|n|flows|flow_runs|task_runs|tasks|task_tags|log_sources|id|name|value|task|tags
        |flow_id|[tkg]|\d+)\b|\s+""",
    re.VERBOSE,
)


@given(TEXTS, st.sampled_from(SUBJECTS))
def test_typed_text_never_gets_into_the_sql(text: str, subject: Subject) -> None:
    try:
        where, parameters = parse(text, subject).sql(subject, NOW)
    except QueryError:
        assume(False)
    assert _VOCABULARY.sub("", where) == ""
    assert where.count("?") == len(parameters)


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["name", "flow", "tag"]))
def test_the_sql_of_a_quoted_value_does_not_depend_on_the_value(
    one: str, other: str, field: str
) -> None:
    first = parse(f"{field}:{quote(one)}").sql("runs", NOW)
    second = parse(f"{field}:{quote(other)}").sql("runs", NOW)
    assert first[0] == second[0]


@given(st.text(max_size=40))
def test_a_quoted_text_means_exactly_itself(text: str) -> None:
    (term,) = parse(quote(text)).terms
    assert term.field is None
    assert term.values[0].text == text.encode("utf-8", "replace").decode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, subject=st.sampled_from(SUBJECTS))
def test_negation_is_the_complement(store: sqlite3.Connection, text: str, subject: Subject) -> None:
    try:
        query = parse(text, subject)
    except QueryError:
        assume(False)
    everything = set(rows(store, subject, Query()))
    for term in query.terms:
        turned = replace(term, negated=not term.negated)
        chosen = set(rows(store, subject, Query("", (term,))))
        others = set(rows(store, subject, Query("", (turned,))))
        assert chosen | others == everything
        assert not chosen & others


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, subject=st.sampled_from(SUBJECTS))
def test_terms_beside_each_other_must_all_hold(
    store: sqlite3.Connection, text: str, subject: Subject
) -> None:
    try:
        query = parse(text, subject)
    except QueryError:
        assume(False)
    expected = set(rows(store, subject, Query()))
    for term in query.terms:
        expected &= set(rows(store, subject, Query("", (term,))))
    assert set(rows(store, subject, query)) == expected


@pytest.mark.parametrize("subject", ["runs", "tasks"])
def test_the_counted_states_split_everything_without_overlap(
    store: sqlite3.Connection, subject: Subject
) -> None:
    buckets = [word for index, word in enumerate(STATE_WORDS) if index < 9]
    found = [row for word in buckets for row in rows(store, subject, parse(f"state:{word}"))]
    assert sorted(found) == sorted(rows(store, subject, Query()))


def test_the_store_of_these_tests_is_a_file_of_ours(store: sqlite3.Connection) -> None:
    """Guards the properties above: an empty store would make them all true."""
    assert all(len(rows(store, subject, Query())) >= 7 for subject in SUBJECTS)
    assert Path(store.execute("PRAGMA database_list").fetchone()[2]).name == "flowdeck.db"
