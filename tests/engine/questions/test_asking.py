"""Tasks and flows that ask a person: what is recorded, what they get, and what ends the wait."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel

from answerer import Answerer, asked
from flowdeck import ask, ask_async, flow, pause, pause_async, task
from flowdeck.exceptions import AnswerRefused, CancelledRun
from flowdeck.record import Record
from flowdeck.runs import recorder as recording
from flowdeck.settings import using
from flowdeck.task_runners import ConcurrentTaskRunner, ProcessTaskRunner
from flowdeck.testing import answering, run_in_memory
from flowdeck_store.record import control

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


class Plan(BaseModel):
    rate: float
    steps: int = 2


class Place(enum.Enum):
    HERE = "here"
    THERE = "there"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with using(console=False):
        yield


def test_a_flow_and_its_tasks_wait_for_answers_and_get_what_their_types_say(home: Path) -> None:
    @task
    def number(n: int) -> int:
        return ask(f"Number {n}?", int)

    @flow
    def work() -> Any:
        deploy = ask("Deploy to prod?", bool)
        numbers = number.map([1, 2])
        pause("Look at it first")
        return (
            deploy, [each.result() for each in numbers], ask("Where?", Literal["eu", "us"]),
            ask("Plan?", Plan).steps, ask("Which?", Place), ask("Name?"), ask("Share?", float),
        )  # fmt: skip

    answers = {
        "deploy-to-prod": "yes", "number-1": "7", "number-2": 8, "pause": "continue", "where": "us",
        "plan": {"rate": 0.5}, "which": "THERE", "name": "007", "share": "0.25",
    }  # fmt: skip
    with Answerer(home, answers) as answerer:
        found = work()
    assert found == (True, [7, 8], "us", 2, Place.THERE, "007", 0.25)
    assert set(answerer.states.values()) == {"Paused"}
    with Record(home) as record:
        run = record.run()
        questions = {question.key: question for question in run.questions}
        assert questions["plan"].answer_given == {"rate": 0.5, "steps": 2}
        assert questions["where"].choices == ("eu", "us")
        assert "a program" in str(questions["name"].answered_by)
        assert [state.name for state in run.tasks()[0].states] == [
            "Pending", "Running", "Paused", "Running", "Completed",
        ]  # fmt: skip
        assert run.as_json()["questions"] == 0


def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays_open(home: Path) -> None:
    @flow
    def work() -> int:
        return ask("How many?", int, key="many")

    with Answerer(home, {"many": ["lots", "3"]}) as answerer:
        assert work() == 3
    (said,) = answerer.refused
    assert "valid integer" in said
    with Record(home) as record:
        assert any("does not fit" in line.message for line in record.run().logs())


def test_async_code_asks_several_things_at_once_and_is_paused_until_the_last(home: Path) -> None:
    @task
    async def third() -> str:
        await pause_async()
        return await ask_async("Third?")

    @flow
    async def work() -> Any:
        both = await asyncio.gather(ask_async("First?", int), ask_async("Second?", str))
        return both, await third()

    answers = {"first": "1", "second": "2", "third": "3", "pause": "continue"}
    with Answerer(home, answers):
        assert asyncio.run(work()) == ([1, "2"], "3")
    with Record(home) as record:
        names = [state.name for state in record.run().states]
    assert names == ["Pending", "Running", "Paused", "Running", "Completed"]


def test_without_an_answer_in_time_there_is_the_default_or_an_error(home: Path) -> None:
    @task
    def late() -> bool:
        return ask("Sure?", bool, timeout_seconds=0.05)

    @flow
    def work() -> Any:
        pause(timeout_seconds=0.05)
        return ask("Where?", str, default="here", timeout_seconds=0.05), late(return_state=True)

    where, state = work()
    assert where == "here"
    assert state.is_failed()
    with pytest.raises(TimeoutError, match=r"Nobody answered within 0\.05 s: Sure\?"):
        state.result()
    with Record(home) as record:
        assert [question.as_json()["state"] for question in record.run().questions] == [
            "default", "default", "withdrawn",
        ]  # fmt: skip


@pytest.mark.parametrize("in_task", [False, True], ids=["flow", "task"])
def test_a_cancel_ends_the_wait(home: Path, in_task: bool) -> None:
    @task
    def waits() -> bool:
        return ask("Ever?", bool)

    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    def work() -> Any:
        return waits.submit().result() if in_task else ask("Ever?", bool)

    def cancel() -> None:
        (question,) = asked(home)
        control.request(home, int(question.ref.partition(".")[0]), control.CANCEL)

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(CancelledRun):
        work(return_state=True).result()
    thread.join()
    with Record(home) as record:
        (question,) = record.run().questions
        assert not question.is_open
        assert record.run().state == "Cancelled"
        with pytest.raises(AnswerRefused, match="withdrawn"):
            question.answer("yes")


def test_a_flows_time_limit_ends_the_wait(home: Path) -> None:
    @flow(timeout_seconds=0.3)
    def work() -> bool:
        return ask("Ever?", bool)

    state = work(return_state=True)
    assert state.name == "TimedOut"


def test_waiting_tasks_leave_their_threads_to_others(home: Path) -> None:
    @task
    def waits(n: int) -> int:
        return ask(f"Number {n}?", int)

    @flow(task_runner=ConcurrentTaskRunner(max_workers=1))
    def work() -> list[int]:
        return [future.result() for future in waits.map([1, 2, 3])]

    def answer_all() -> None:
        for question in asked(home, lambda open_ones: len(open_ones) == 3):
            question.answer(int(question.key[-1]))

    thread = threading.Thread(target=answer_all)
    thread.start()
    assert work() == [1, 2, 3]
    thread.join()


def test_secrets_are_not_recorded_and_no_answer_is_left_in_the_requests(home: Path) -> None:
    @flow
    def work() -> str:
        return ask("Which password?", key="password")

    with Answerer(home, {"password": "hunter2"}):
        assert work() == "hunter2"
    recording.close_all()
    with Record(home) as record:
        assert record.run().questions[0].answer_given == "<hidden>"
    with contextlib.closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        assert conn.execute("SELECT verb FROM control").fetchall() == [("answer",)]


def test_nobody_is_asked_where_nobody_can_answer() -> None:
    @flow
    def work() -> bool:
        return ask("Deploy?", bool)

    with pytest.raises(RuntimeError, match="outside of a flow run"):
        ask("Deploy?", bool)
    assert ask("Deploy?", bool, default=False) is False
    with run_in_memory():
        state = work(return_state=True)
    with pytest.raises(RuntimeError, match=r"testing\.answering"):
        state.result()


@task
def asks_there() -> bool:
    return ask("Deploy?", bool)


@task
def asks_with_default() -> str:
    return ask("Where?", default="here", timeout_seconds=60)


def test_a_worker_does_not_wait_for_ever_where_nothing_is_recorded() -> None:
    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def work() -> Any:
        return asks_with_default.submit().result(), asks_there.submit().result(
            raise_on_failure=False
        )

    with run_in_memory():
        where, error = work()
    assert where == "here"
    assert isinstance(error, RuntimeError)
    assert "not recorded" in str(error)


def test_tests_answer_by_key() -> None:
    @flow
    def work() -> Any:
        pause()
        return ask("Deploy to prod?", bool), ask("Where?", Literal["eu", "us"])

    with run_in_memory(), answering({"deploy-to-prod": "no", "*": "eu", "pause": None}):
        assert work() == (False, "eu")
    with answering({"*": "mars"}), pytest.raises(ValueError, match="does not fit"):
        ask("Where?", Literal["eu", "us"])


def test_a_mistake_says_what_to_write_instead() -> None:
    async def blocks() -> None:
        ask("Deploy?", bool)

    with pytest.raises(RuntimeError, match=r"await ask_async"):
        asyncio.run(blocks())
    with pytest.raises(ValueError, match="more than 0"):
        ask("Deploy?", bool, timeout_seconds=0)


def test_a_question_of_a_subflows_task_is_one_of_the_run_that_called_it(home: Path) -> None:
    @task
    def inner() -> bool:
        return ask("Inside?", bool)

    @flow
    def child() -> bool:
        return inner.submit().result()

    @flow
    def parent() -> bool:
        return child()

    seen: list[int] = []

    def questions(record: Record) -> list[Any]:
        return [q for run in record.runs("", subflows=True) for q in run.questions]

    def look() -> None:
        with Record(home) as record:
            while not (found := [q for q in questions(record) if q.is_open]):
                pass
            seen.extend(run.as_json()["questions"] for run in record.runs("", subflows=True))
            found[0].answer("yes")

    thread = threading.Thread(target=look)
    thread.start()
    assert parent() is True
    thread.join()
    assert seen == [1, 1]
