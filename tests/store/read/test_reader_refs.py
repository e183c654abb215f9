"""Finding the run or task run that somebody means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowdeck_store.errors import Ambiguous, NotFound
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import CRASHED, FAILED, RUNNING
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path)
    yield found
    found.close()


@pytest.fixture
def reader(builder: StoreBuilder, tmp_path: Path) -> Iterator[Reader]:
    with Reader.open(tmp_path) as found:
        yield found


@pytest.fixture
def some(builder: StoreBuilder) -> None:
    builder.run("brave-otter", uid="aaaa1111" + "0" * 24, state=FAILED)
    builder.run("calm-heron", uid="bbbb2222" + "0" * 24, state=CRASHED)
    builder.run("brave-otter", uid="aaaa3333" + "0" * 24)
    builder.run("brave-lynx", uid="cccc4444" + "0" * 24, state=RUNNING)
    builder.run("2", uid="dddd5555" + "0" * 24)
    builder.run("sub", uid="eeee6666" + "0" * 24, state=FAILED, parent_task=4 << 24 | 1)
    builder.run("night/run.9", uid="ffff7777" + "0" * 24)
    for run in (1, 3, 7):
        for no, name in enumerate(
            ["fetch-1", "fetch-10", "load/2.5", "Fetch-2", "same", "same"], 1
        ):
            builder.task(run, no, name=name)


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("ref", "id_"),
    [
        ("1", 1),
        ("#4", 4),
        (" 3 ", 3),
        ("2", 2),
        ("brave-otter", 3),
        ("brave-o", 3),
        ("BRAVE-L", 4),
        ("calm", 2),
        ("aaaa1111" + "0" * 24, 1),
        ("AAAA1111" + "0" * 24, 1),
        ("aaaa1", 1),
        ("cccc", 4),
        ("sub", 6),
        ("@last", 7),
        ("@last-failed", 2),
        ("night/run.9", 7),
    ],
)
def test_a_run_is_found_by(reader: Reader, ref: str, id_: int) -> None:
    assert reader.resolve_run(ref).id == id_


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("ref", "error", "message"),
    [
        ("brave", Ambiguous, r"'brave' fits several runs: brave-lynx \(4\), brave-otter \(3\)"),
        ("aaaa", Ambiguous, r"brave-otter \(3\), brave-otter \(1\)"),
        ("brave-oter", NotFound, "no run 'brave-oter' in .*; near: brave-otter"),
        ("99", NotFound, "no run '99'"),
        ("%", NotFound, "no run '%'"),
        ("aaa", NotFound, "no run 'aaa'"),
        ("@first", NotFound, "there are @last and @last-failed"),
        ("", NotFound, "is missing"),
        ("\x1b[31m\ud800", NotFound, r"no run '�\[31m\?'"),
    ],
)
def test_a_run_that_is_not_found_is_an_error_that_helps(
    reader: Reader, ref: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        reader.resolve_run(ref)


def test_in_an_empty_store_the_errors_say_that_it_is_empty(reader: Reader) -> None:
    with pytest.raises(NotFound, match=r"there are no runs in .*flowdeck.db yet"):
        reader.resolve_run("x")
    with pytest.raises(NotFound, match=r"There is no run in .* yet"):
        reader.resolve_run("@last")
    with pytest.raises(NotFound, match="There is no failed run"):
        reader.resolve_run("@last-failed")


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ("1.2", "1.2"),
        ("#3.#4", "3.4"),
        ("brave-otter.1", "3.1"),
        ("aaaa1111" + "0" * 24 + ".2", "1.2"),
        ("aaaa1.2", "1.2"),
        ("@last.3", "7.3"),
        ("1/fetch-1", "1.1"),
        ("1/fetch-10", "1.2"),
        ("1/Fetch-2", "1.4"),
        ("1/LOAD", "1.3"),
        ("1/load/2.5", "1.3"),
        ("1/5", "1.5"),
        ("night/run.9/fetch-1", "7.1"),
        ("night/run.9/load/2.5", "7.3"),
        ("night/run.9.2", "7.2"),
    ],
)
def test_a_task_run_is_found_by(reader: Reader, ref: str, found: str) -> None:
    assert reader.resolve_task(ref).ref == found


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("ref", "error", "message"),
    [
        ("1/same", Ambiguous, r"several task runs: same \(1.5\), same \(1.6\). Give its number"),
        ("1/fetch", Ambiguous, r"fetch-1 \(1.1\), fetch-10 \(1.2\), Fetch-2 \(1.4\)"),
        ("1/fetsh-1", NotFound, r"Run 1 \(brave-otter\) has no task run 'fetsh-1'; near: fetch-1"),
        ("1.77", NotFound, r"Run 1 \(brave-otter\) has no task run 77: it has 6"),
        ("4.1", NotFound, "it has none"),
        ("77.1", NotFound, "no run '77'"),
        ("nobody/x/y", NotFound, "no run"),
        ("1", NotFound, r"say RUN.NUMBER \(1234.17\) or RUN/NAME"),
        ("1/", NotFound, "has no task run ''"),
        ("1.0", NotFound, "has no task run 0"),
    ],
)
def test_a_task_run_that_is_not_found_is_an_error_that_helps(
    reader: Reader, ref: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        reader.resolve_task(ref)


@pytest.mark.usefixtures("some")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ref=st.text(max_size=20) | st.from_regex(r"[@#1-9./a-f-]{0,12}", fullmatch=True))
def test_any_reference_finds_something_or_says_why_not(reader: Reader, ref: str) -> None:
    for resolve in (reader.resolve_run, reader.resolve_task):
        try:
            found = resolve(ref)
        except (NotFound, Ambiguous) as error:
            message = str(error)
            assert message.isprintable()
        else:
            assert found.uid
