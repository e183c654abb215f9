"""One redaction for every text that is recorded: wherever a secret gets in, it is hidden."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, get_run_logger, task
from flowdeck.exceptions import MappingMissingIterable, ParameterBindError
from flowdeck.failures.capture import capture
from flowdeck.parameters.forms import describe
from flowdeck.runs import recorder as recording
from flowdeck.settings import using
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.values.redaction import HIDDEN
from flowdeck_store.read.reader import Reader

URL = "postgres://ann:hunter2@host/db"


@dataclasses.dataclass
class Login:
    user: str = "ann"
    password: str = "hunter2"


@task(task_run_name="load {url}", log_prints=True)
def load(url: str, headers: Any = None) -> Any:
    get_run_logger().info("using %s", url)
    print("Authorization: Bearer hunter2")
    return {"url": url, "password": "hunter2", "login": Login(), "argv": ["--token", "hunter2"]}


@task(retries=1)
def fail(api_key: str) -> None:
    dsn = URL
    note = f"it was {api_key}"
    raise ValueError(f"cannot log in to {dsn} with {api_key}: {len(note)}")


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_no_secret_is_in_the_record_whatever_the_way(home: Path, runner: Any) -> None:
    @flow(task_runner=runner, flow_run_name="of {url}")
    def leaky(url: str, api_key: str) -> str:
        load.submit(url, {"Authorization": "Bearer hunter2"}).wait()
        fail.submit("hunter2").wait()
        get_run_logger().warning("curl -u me:hunter2 https://host")
        try:
            raise ConnectionError(f"no route to {url}")
        except ConnectionError:
            get_run_logger().exception("it broke")
        return url

    leaky(URL, "hunter2")
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        texts = [repr(run.params), run.name, repr(run.info)]
        texts += [record.message for record in reader.logs(run.id, limit=1000)]
        for no, task_run in [(0, None), *((t.no, t) for t in reader.tasks(run.id))]:
            texts += [repr(state.message) for state in reader.states(run.id, no)]
            texts += [repr(reader.result(run.id, no)), repr(reader.task_parameters(run.id, no))]
            texts += [repr(reader.failures(run.id, no)), repr(task_run)]
    assert HIDDEN in "".join(texts)
    assert [text for text in texts if "hunter2" in text] == []
    # The flow can be run again: its parameters are as they were given, but for those named so.
    assert json.loads(run.given or "") == {"url": URL, "api_key": HIDDEN}
    assert json.loads(run.params or "") == {
        "url": f"postgres://ann:{HIDDEN}@host/db",
        "api_key": HIDDEN,
    }


def test_an_empty_setting_hides_nothing(home: Path) -> None:
    @flow
    def open_flow(url: str) -> str:
        get_run_logger().info("using %s", url)
        return url

    with using(redact=[]):
        open_flow(URL)
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        assert f"using {URL}" in [record.message for record in reader.logs(run.id)]
        result = reader.result(run.id, 0)
        assert result is not None
        assert result.preview == repr(URL)


def test_a_call_that_does_not_fit_shows_no_secret() -> None:
    @flow
    def log_in(user: str, password: str = "hunter2") -> None: ...

    @task
    def ping(host: str) -> None: ...

    with pytest.raises(ParameterBindError) as caught:
        log_in("ann", "hunter2", "more")
    assert "hunter2" not in str(caught.value)
    assert "received args: (<str>, <str>, <str>)" in str(caught.value)
    assert f"password: 'str' = {HIDDEN}" in str(caught.value)
    with pytest.raises(ParameterBindError) as caught:
        ping(URL, "hunter2", 5)
    assert "hunter2" not in str(caught.value)
    assert f"received args: ('postgres://ann:{HIDDEN}@host/db', <str>, 5)" in str(caught.value)
    with pytest.raises(MappingMissingIterable) as no_list:

        @flow
        def maps() -> None:
            load.map(URL)

        maps()
    assert "hunter2" not in str(no_list.value)


def test_what_a_hidden_variable_holds_is_hidden_in_messages_too() -> None:
    def connect(password: str) -> None:
        raise ConnectionError(f"the host did not like {password!r}")

    with pytest.raises(ConnectionError) as caught:
        connect("correct-horse")
    caught.value.add_note("asked with correct-horse")
    found = capture(caught.value)
    assert found.exc_msg == f"the host did not like '{HIDDEN}'"
    assert "correct-horse" not in found.text + found.variables


def test_literals_in_the_source_lines_of_a_failure_are_hidden(tmp_path: Path) -> None:
    source = (
        "def go():\n"
        '    api_key = "hunter2"\n'
        "    token = find()\n"
        '    raise ValueError(dict(password="hunter2", port=1))\n'
        "def find(): return 1\n"
    )
    file = tmp_path / "leaky.py"
    file.write_text(source)
    space: dict[str, Any] = {"__name__": "leaky"}
    exec(compile(source, str(file), "exec"), space)
    with pytest.raises(ValueError) as caught:
        space["go"]()
    found = capture(caught.value)
    assert "hunter2" not in found.structure + found.variables + found.text
    assert "token = find()" in found.text + found.structure
    frame = json.loads(found.structure)["frames"][-1]
    assert frame["col"] is None  # it would point beside what is left of the line


def test_defaults_that_are_secret_are_not_shown_in_forms() -> None:
    def f(
        password: str = "hunter2", url: str = URL, n: int = 5, token: str | None = None
    ) -> None: ...

    shown = {info.name: (info.default_json, info.default_repr) for info in describe(f)}
    assert shown == {
        "password": (None, HIDDEN),
        "url": (None, f"'postgres://ann:{HIDDEN}@host/db'"),
        "n": ("5", "5"),
        "token": ("null", "None"),
    }
    assert not any(info.required for info in describe(f))
    assert "hunter2" not in repr(describe(f))


def test_a_result_that_the_record_hides_is_no_result_for_a_re_run() -> None:
    from flowdeck.exceptions import MissingResult
    from flowdeck.reuse import earlier_run
    from flowdeck_store.read.records import ResultRecord

    assert earlier_run.is_in_preview("plain text")
    assert not earlier_run.is_in_preview(URL)
    assert not earlier_run.is_in_preview("<hidden>")
    fields = {f.name: None for f in dataclasses.fields(ResultRecord)}
    fields |= {"type": "str", "preview": f"'postgres://ann:{HIDDEN}@host/db'"}
    with pytest.raises(MissingResult, match="hides"):
        earlier_run.value_of(ResultRecord(**fields), None)  # type: ignore[arg-type]


def test_what_a_launched_run_printed_is_shown_without_secrets(home: Path) -> None:
    from flowdeck.launch.process import log_tail
    from flowdeck_store.file.paths import StorePaths

    folder = StorePaths(home).launches
    folder.mkdir(parents=True)
    (folder / "abc.log").write_text(f"connecting to {URL}\npassword=hunter2\n")
    assert log_tail(home, "abc")[1] == [
        f"connecting to postgres://ann:{HIDDEN}@host/db",
        f"password={HIDDEN}",
    ]


def test_a_run_name_from_a_template_hides_secrets_from_the_first_moment(home: Path) -> None:
    @flow(flow_run_name="load {url}")
    def named(url: str) -> None: ...

    named(URL)
    recording.close_all()
    for file in home.rglob("*"):
        if file.is_file():
            text = file.read_bytes().replace(json.dumps({"url": URL})[1:-1].encode(), b"")
            assert b"load postgres://ann:hunter2" not in text
