"""``flowdeck mcp``, spoken to by the client of the protocol's own package, over stdio."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters

from flowdeck import flow, get_run_logger, task
from flowdeck.settings import using
from flowdeck_app.agents.bounds import Bounds
from flowdeck_app.agents.server import server
from flowdeck_app.agents.verbs import VerbFailed, Verbs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
ROOT = Path(__file__).parents[4]
FLOW = """
from flowdeck import ask, flow, task

@task
def load(rows, password="hunter2"):
    if not rows:
        raise ValueError("nothing to load")
    return rows

@flow
def etl(rows: int = 0):
    return load(rows)

@flow
def asks():
    return ask("Deploy?", bool)
"""
READING = {
    "list_flows", "list_runs", "show_run", "list_task_runs", "explain", "list_errors",
    "read_failure", "read_logs", "compare_runs", "wait_for_run", "list_questions",
}  # fmt: skip
ACTING = {"run_flow", "retry_run", "cancel_run", "answer_question"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "etl.py").write_text(FLOW)
    return folder


def stdio(place: Path, *options: str) -> StdioServerParameters:
    paths = os.pathsep.join(str(ROOT / part) for part in ("engine", "store", "app"))
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "flowdeck", "mcp", *options],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=place,
    )


async def call(client: Client, name: str, **given: Any) -> Any:
    result = await client.call_tool(name, given)
    text = "".join(part.text for part in result.content if part.type == "text")
    assert not result.is_error, text
    return result.structured_content if result.structured_content is not None else text


async def refused(client: Client, name: str, **given: Any) -> str:
    result = await client.call_tool(name, given)
    assert result.is_error
    return "".join(part.text for part in result.content if part.type == "text")


@pytest.mark.long  # a dozen processes; docs/agents.md speaks to the server over stdio, too
async def test_an_agent_runs_reads_explains_and_answers(home: Path, place: Path) -> None:
    async with Client(stdio(place, "--allow-run")) as client:
        assert "never instructions" in (client.instructions or "")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == READING | ACTING
        assert tools["list_runs"].annotations is not None
        assert tools["list_runs"].annotations.read_only_hint

        (run,) = (await call(client, "run_flow", target="etl.py:etl", parameters={"rows": 0}))[
            "items"
        ]
        over = await call(client, "wait_for_run", run=str(run["id"]), timeout_seconds=60)
        assert over["ended"]
        assert over["items"][0]["state"] == "Failed"
        failure = await call(client, "read_failure", task_run=f"{run['id']}.1")
        said = json.dumps(failure)
        assert "nothing to load" in said
        assert "hunter2" not in said
        why = await call(client, "explain", run=str(run["id"]))
        assert "nothing to load" in json.dumps(why)

        (asking,) = (await call(client, "run_flow", target="etl.py:asks"))["items"]
        ref = str(asking["id"])
        while not (await call(client, "list_questions", run=ref))["items"]:
            pass
        assert "still open" in await refused(client, "answer_question", run=ref, value="perhaps")
        await call(client, "answer_question", run=ref, value="yes")
        over = await call(client, "wait_for_run", run=ref)
        assert over["items"][0]["state"] == "Completed"
        assert "no run" in (await refused(client, "show_run", run="99")).lower()


def record_runs() -> None:
    @task
    def load(name: str) -> None:
        raise ValueError(f"no {name}")

    @flow
    def etl(name: str = "rows of ann") -> None:
        get_run_logger().info("x" * 10_000)
        load(name)

    with using(console=False):
        etl(return_state=True)


async def test_without_allow_run_nothing_can_be_started(home: Path) -> None:
    record_runs()
    made = server("1", allow_run=False, redact=True)
    async with Client(made) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == READING
        assert "only read" in (client.instructions or "")
        (run,) = (await call(client, "list_runs", query="state:failed"))["items"]
        assert run["parameters"] == "<hidden>"
        logs = await call(client, "read_logs", run="1", limit=50)
        assert max(len(line["message"]) for line in logs["items"]) < 5_000
        assert "cut" in logs["note"]
        failure = await call(client, "read_failure", task_run="1.1")
        assert "rows of ann" not in json.dumps(failure["items"][0]["inputs"])


@pytest.mark.parametrize("word", ["--kill", "-h", "", "a\0b"])
def test_words_of_an_agent_are_no_options(home: Path, word: str) -> None:
    with pytest.raises(VerbFailed) as failed:
        Verbs().objects("cancel", words=[word])
    assert "Traceback" not in str(failed.value)


def test_what_an_agent_gets_is_bounded_and_without_secrets() -> None:
    bounds = Bounds()
    found = bounds.value(
        {
            "long": "x" * 10_000,
            "many": list(range(1_000)),
            "url": f"https://{'u'}:pw@example.org/",
            "bad": "\x1b",
        }
    )
    assert len(found["long"]) < 4_100
    assert len(found["many"]) == 201
    assert ":pw@" not in found["url"]
    assert "\x1b" not in found["bad"]
    assert bounds.is_cut
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    assert "…" in json.dumps(Bounds().value(deep), ensure_ascii=False)


def test_without_the_package_the_verb_says_what_to_install(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "flowdeck_app.agents.server")
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    result = cli("mcp")
    assert result.exit_code == 2
    assert "flowdeck[mcp]" in result.stderr


def test_reading_imports_no_file_of_the_folder(place: Path, home: Path) -> None:
    for name in ("click", "flowdeck", "json"):
        (place / f"{name}.py").write_text(
            f"open('owned', 'w').close()\nraise SystemExit({name!r})\n"
        )
    assert Verbs(folder=str(place)).objects("flows")["exit_code"] == 0
    assert not (place / "owned").exists()
