"""`by:mine` knows what the engine says of every run: its words and the filter's are the same."""

from __future__ import annotations

from flowdeck import flow, get_run_logger, task
from flowdeck.settings import get_settings
from flowdeck_store.read.reader import Reader


@task(retries=1)
def fails() -> None:
    get_run_logger().info("mine: try")
    raise ValueError("no")


@task
def works() -> None:
    get_run_logger().info("mine: task")


@flow
def inner() -> None:
    get_run_logger().info("mine: inner")
    works()


@flow
def outer() -> None:
    get_run_logger().info("mine: outer")
    works.submit().wait()
    fails.submit().wait()
    inner()


def test_what_the_engine_says_is_not_mine() -> None:
    outer(return_state=True)
    with Reader.open(get_settings().home) as reader:
        run = reader.runs(roots=True)[0]
        lines = reader.tree_logs([*reader.run_tree(run.id)], query="by:mine", limit=0)
        assert {line.message.partition("\n")[0] for line in lines} == {
            "mine: outer",
            "mine: task",
            "mine: try",
            "mine: inner",
            "Encountered exception during execution:",
        }
