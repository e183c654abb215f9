"""``flowdeck answer``: what is open, answering it, and saying why it was not."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any, Literal

import pytest

from answerer import asked
from flowdeck import ask, flow, task
from flowdeck.settings import using

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.timeout(60)


@task
def number(n: int) -> int:
    return ask(f"Number \x1b[31m{n}?", int, key=f"n{n}")


@flow
def deploy() -> Any:
    numbers = number.map([1, 2])
    where = ask("Where to?", Literal["eu", "us"], default="eu", timeout_seconds=60)
    return where, [each.result() for each in numbers]


@contextlib.contextmanager
def going_on(home: Path, count: int) -> Iterator[list[Any]]:
    """The flow on a thread, once it has asked so much."""
    found: list[Any] = []

    def run() -> None:
        with using(home=home, console=False):
            found.append(deploy())

    thread = threading.Thread(target=run)
    thread.start()
    asked(home, lambda open_ones: len(open_ones) == count)
    yield found
    thread.join(30)


def test_open_questions_are_listed_answered_and_refused(
    cli: Callable[..., Result], home: Path
) -> None:
    with going_on(home, 3) as found:
        listed = cli("answer")
        assert listed.exit_code == 0
        assert "Where to?" in listed.stdout
        assert "\x1b" not in listed.stdout
        objects = [
            json.loads(line) for line in cli("answer", "@last", "--json").stdout.splitlines()
        ]
        assert {each["key"]: each["type"] for each in objects} == {
            "n1": "int", "n2": "int", "where-to": "choice",
        }  # fmt: skip
        assert {each["choices"] and tuple(each["choices"]) for each in objects} == {
            None, ("eu", "us"),
        }  # fmt: skip

        several = cli("answer", "1", "7")
        assert several.exit_code == 2
        assert "3 such questions" in several.stderr
        unknown = cli("answer", "1", "n3", "7")
        assert "no open question 'n3'" in unknown.stderr
        assert "has no default" in cli("answer", "1.1", "--default").stderr
        refused = cli("answer", "1", "n1", "many")
        assert refused.exit_code == 2
        assert "still open" in refused.stderr
        assert "a whole number" in refused.stderr

        shown = cli("show", "1").stdout
        assert "waits for you: Where to? (eu, us)" in shown
        assert "flowdeck answer 1 where-to VALUE" in shown

        assert "waits for an answer (eu, us)" in cli("why", "1").stdout

        assert cli("answer", "1.1", "7").exit_code == 0
        taken = cli("answer", "1", "n2", "-8", "--json")
        assert json.loads(taken.stdout)["answer"] == -8
        assert cli("answer", "1", "--default").exit_code == 0
    assert found == [("eu", [7, -8])]
    over = cli("answer", "1", "yes")
    assert over.exit_code == 2
    assert "asks nothing now" in over.stderr
    assert "Questions" in cli("show", "1").stdout
    assert cli("answer").stdout == ""


def test_a_run_that_asks_is_seen_in_the_list_of_runs(
    cli: Callable[..., Result], home: Path
) -> None:
    with going_on(home, 3):
        (run,) = [json.loads(line) for line in cli("runs", "--json").stdout.splitlines()]
        assert (run["state"], run["questions"]) == ("Paused", 3)
        assert cli("runs", "state:paused").stdout.count("deploy") == 1
        for key, value in {"n1": "1", "n2": "2", "where-to": "us"}.items():
            assert cli("answer", "1", key, value).exit_code == 0
