"""``flowdeck run``, detached runs and what can go wrong before a flow starts."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import objects, runs, until, write

from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from cli_builder import Shell


HELLO = """
    import sys
    from flowdeck import flow, task, get_run_logger

    @task
    def double(x):
        if x == 3:
            token = "-".join(["s3", "cret"])
            raise ValueError(f"bad page {x}")
        return 2 * x

    @task
    def add(a, b): return a + b

    @flow
    def hello(n: int = 2, who: str = "you"):
        '''Say hello.'''
        print("hello", who)
        print("to stderr", file=sys.stderr)
        get_run_logger().info("logged")
        return double.map(list(range(n)))

    @flow
    async def waits(n: int):
        print("async", n)

    @flow
    def anything(a, /, *rest, b: float = 1.5, **more):
        print(a, rest, b, more)

    @flow(validate_parameters=False)
    def unchecked(n: int): print(repr(n))

    def bare(): ...

    not_callable = 5

    if __name__ == "__main__":
        print("MAIN BLOCK")
"""


@pytest.fixture
def hello() -> Path:
    return write("hello.py", HELLO)


def test_a_flow_runs_and_its_prints_and_log_lines_go_their_ways(
    shell: Shell, home: Path, hello: Path
) -> None:
    result = shell("run", "hello.py:hello", "-p", "who=me", "-p", "n=3")
    assert result.returncode == 0
    assert result.stdout == "hello me\n"
    assert "to stderr" in result.stderr
    assert "Flow run" in result.stderr
    assert " | INFO    | flowdeck.engine - Created flow run" in result.stderr
    assert "✓ Completed" in result.stderr
    assert "MAIN BLOCK" not in result.stdout
    [run] = runs(home)
    assert json.loads(run.params or "") == {"n": 3, "who": "me"}
    assert run.info["target"] == "hello.py:hello"
    assert (run.state, run.n_tasks) == ("Completed", 3)


def test_json_is_all_there_is_on_stdout(shell: Shell, home: Path) -> None:
    write(
        "noisy.py",
        """
        import os, subprocess, sys
        from flowdeck import flow
        print("at import")
        @flow
        def noisy():
            print("print")
            os.write(1, b"raw\\n")
            subprocess.run(["echo", "child"])
        """,
    )
    result = shell("run", "noisy.py", "--json", "--name", "loud-one", "--tag", "a", "--tag", "b")
    assert result.returncode == 0
    run = json.loads(result.stdout)
    assert (run["name"], run["flow"], run["state"]) == ("loud-one", "noisy", "Completed")
    assert sorted(run["tags"]) == ["a", "b"]
    for word in ("at import", "print", "raw", "child"):
        assert word in result.stderr


def test_a_failed_run_has_exit_code_1_and_says_where_to_look(
    shell: Shell, home: Path, hello: Path
) -> None:
    result = shell("run", "hello.py:hello", "-p", "n=4")
    assert result.returncode == 1
    assert "1/4 states failed." in result.stderr
    assert "flowdeck task 1.4 shows the traceback" in result.stderr
    text = shell("task", "1.4").stdout
    assert 'raise ValueError(f"bad page {x}")' in text
    assert "x" in text
    assert "int = 3" in text
    assert "s3-cret" not in text


def test_quiet_shows_only_failures(shell: Shell, home: Path, hello: Path) -> None:
    good = shell("run", "hello.py:hello", "-q")
    assert (good.returncode, good.stdout) == (0, "hello you\n")
    assert good.stderr == "to stderr\n"
    bad = shell("run", "hello.py:hello", "-q", "-p", "n=4")
    assert bad.returncode == 1
    assert "✗ Failed" in bad.stderr
    assert "INFO" not in bad.stderr


def test_async_flows_and_every_kind_of_parameter(shell: Shell, home: Path, hello: Path) -> None:
    assert shell("run", "hello.py:waits", "-p", "n=7", "-q").stdout == "async 7\n"
    assert shell("run", "hello.py:unchecked", "-p", "n=7", "-q").stdout == "7\n"
    given = json.dumps({"a": 1, "rest": [2, 3], "b": 4, "more": {"c": 5}})
    assert shell("run", "hello.py:anything", "--params", given, "-q").stdout == (
        "1 (2, 3) 4.0 {'c': 5}\n"
    )
    given = json.dumps({"a": 1, "d": 6})
    assert (
        shell("run", "hello.py:anything", "--params", given, "-q").stdout == "1 () 1.5 {'d': 6}\n"
    )


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_parameters_come_from_a_file_or_stdin(
    shell: Shell, home: Path, hello: Path, source: str
) -> None:
    Path("p.json").write_text('{"n": 1, "who": "file"}')
    if source == "file":
        result = shell("run", "hello.py:hello", "--params", "@p.json", "-q")
    else:
        result = shell("run", "hello.py:hello", "--params", "@-", "-q", input='{"who": "file"}')
    assert result.stdout == "hello file\n"
    assert Path("p.json").exists()


def test_the_runner_can_be_chosen_at_launch(shell: Shell, home: Path, hello: Path) -> None:
    assert shell("run", "hello.py:hello", "--runner", "sequential", "-q").returncode == 0
    options = ["--runner-opt", "max_workers=1"]
    assert shell("run", "hello.py:hello", *options, "-q").returncode == 0
    assert [run.runner for run in runs(home)] == ["concurrent", "sequential"]


def test_a_module_is_found_from_the_working_directory(
    shell: Shell, home: Path, hello: Path
) -> None:
    write("pkg/__init__.py", "")
    write("pkg/flows.py", "from flowdeck import flow\n@flow\ndef f(): print(__name__)\n")
    assert shell("run", "pkg.flows:f", "-q").stdout == "pkg.flows\n"
    assert shell("run", "hello:hello", "-q").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.py:f"], "There is no file nowhere.py."),
        (["helo.py:hello"], "did you mean hello.py?"),
        (["gone/hello.py:hello"], "nor the folder gone."),
        (["empty.py"], "There are no flows in empty.py: decorate a function with @flow"),
        (["empty.py:f"], "it has no flows at all"),
        (["hello.py:helo"], "did you mean hello.py:hello?"),
        (["hello.py"], "hello.py has 4 flows, name one: hello.py:anything, hello.py:hello"),
        (["hello.py:bare"], "hello.py:bare is a bare function, not a flow: decorate it with @flow"),
        (["hello.py:double"], "needs the parameter 'x'"),
        (["hello.py:double", "-p", "y=1"], "has no parameter 'y'"),
        (["hello.py:not_callable"], "hello.py:not_callable is not a flow but 'int'."),
        (["no_such_module.x:f"], "There is no module 'no_such_module'"),
        (["."], ". is a folder."),
        (["a b"], "'a b' is not a target."),
        ([""], "'' is not a target."),
        (["hello.py:he llo"], "'he llo' in 'hello.py:he llo' is not the name of a flow."),
        (["syntax.py:f"], "syntax.py:3: "),
        (["null.py:f"], "null.py"),
        (["hello.py:waits"], "needs the parameter 'n'"),
        (["hello.py:hello", "-p", "m=1"], "has no parameter 'm'"),
        (["hello.py:hello", "-p", "wo=1"], "Did you mean 'who'?"),
        (["hello.py:hello", "--params", '{"m": 1}'], "flow 'hello' has no parameter 'm'."),
        (["hello.py:hello", "-p", "n=abc"], "n: Input should be a valid integer"),
        (["hello.py:hello", "--params", '{"n": "abc"}'], "n: Input should be a valid integer"),
        (["hello.py:hello", "-p", "n"], "-p needs name=value, not 'n'."),
        (["hello.py:hello", "-p", "n=1", "-p", "n=2"], "-p gives n twice."),
        (["hello.py:hello", "--params", "{"], "--params is not JSON: "),
        (["hello.py:hello", "--params", "[1]"], "--params must be a JSON object"),
        (["hello.py:hello", "--params", "[" * 100_000], "nested too deeply"),
        (["hello.py:hello", "--params", "@nope.json"], "--params cannot be read from nope.json"),
        (
            ["hello.py:hello", "--runner", "dsk"],
            "There is no task runner 'dsk'. Did you mean 'dask'?",
        ),
        (["hello.py:hello", "--runner-opt", "max_worker=1"], "Did you mean 'max_workers'?"),
        (["hello.py:hello", "--runner", "sequential", "--runner-opt", "x=1"], "no option 'x'"),
        (["hello.py:hello", "--runner-opt", "max_workers"], "--runner-opt needs name=value"),
    ],
)
def test_bad_input_is_one_clear_message_exit_code_2_and_no_run(
    shell: Shell, home: Path, hello: Path, words: list[str], message: str
) -> None:
    write("empty.py", "x = 1\n")
    write("syntax.py", "from flowdeck import flow\n\ndef f(:\n    pass\n")
    Path("null.py").write_bytes(b"x = 1\x00\n")
    if sum(map(len, words)) > 50_000:
        Path("deep.json").write_text(words[-1])
        words = [*words[:-1], "@deep.json"]
    result = shell("run", *words)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("flowdeck: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert runs(home) == []


def test_a_syntax_error_shows_file_line_and_text(shell: Shell, home: Path) -> None:
    write("syntax.py", "from flowdeck import flow\n\ndef f(:\n    pass\n")
    assert shell("run", "syntax.py:f").stderr == (
        "flowdeck: syntax.py:3: invalid syntax\n    def f(:\n"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import helper", "SyntaxError"),
    ],
)
def test_an_import_error_is_a_recorded_failed_run_with_its_traceback(
    shell: Shell, home: Path, line: str, said: str
) -> None:
    write("helper.py", "def f(:\n")
    write("imports.py", f"from flowdeck import flow\n{line}\n@flow\ndef f(day: str): pass\n")
    result = shell("run", "imports.py:f", "-p", "day=monday")
    assert result.returncode == 1
    assert said in result.stderr
    assert "flowdeck: imports.py cannot be imported: " in result.stderr
    assert "recorded as a failed run: `flowdeck show 1`" in result.stderr
    assert "importlib" not in result.stderr
    [run] = runs(home)
    assert (run.state, run.flow) == ("Failed", "f")
    assert said in (run.message or "")
    assert json.loads(run.params or "") == {"day": "monday"}
    with Reader.open(home) as reader:
        failure = reader.last_failure(run.id)
    assert failure is not None
    assert failure.exception is not None
    assert failure.exception["frames"][0]["file"].endswith("imports.py")
    shown = shell("show", "1").stdout
    assert line in shown


def test_a_missing_extra_says_how_to_install_it(shell: Shell, home: Path, hello: Path) -> None:
    write("hidden/distributed.py", "")
    write(
        "hidden/sitecustomize.py",
        """
        import importlib.util
        real = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *a: None if name == "distributed" else real(name, *a)
        """,
    )
    path = os.pathsep.join([str(Path("hidden").absolute()), shell.env["PYTHONPATH"]])
    result = shell("run", "hello.py:hello", "--runner", "dask", env={"PYTHONPATH": path})
    assert result.returncode == 2
    assert "pip install 'flowdeck[dask]'" in result.stderr


def test_a_home_that_cannot_be_made_does_not_keep_a_flow_from_running(
    shell: Shell, hello: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    more = {"FLOWDECK_HOME": str(tmp_path / "file" / "home"), "TMPDIR": str(tmp_path)}
    result = shell("run", "hello.py:hello", env=more)
    assert result.returncode == 0
    assert "cannot write" in result.stderr
    assert "FLOWDECK_HOME" in result.stderr
    assert "Traceback" not in result.stderr
    more["TMPDIR"] = str(tmp_path / "file")  # nothing can stand in for it
    result = shell("run", "hello.py:hello", env=more)
    assert result.returncode == 3
    assert "cannot write" in result.stderr
    assert "Traceback" not in result.stderr


def test_hostile_names_travel_unharmed(shell: Shell, home: Path, hello: Path) -> None:
    for name in ("[bold]x[/bold]", "two\nlines", "🦦 otter", "n" * 10_000, "--json", "%s {x}"):
        assert shell("run", "hello.py:hello", f"--name={name}", "-q").returncode == 0
        assert runs(home)[0].name == name
    listed = shell("runs").stdout
    assert "[bold]x[/bold]" in listed
    assert "two\\nlines" in listed


def test_detach_returns_the_run_at_once_while_it_goes_on(shell: Shell, home: Path) -> None:
    write(
        "long.py",
        """
        import pathlib, time
        from flowdeck import flow
        @flow
        def long(where: str, seconds: float = 60):
            print("alive")
            deadline = time.monotonic() + seconds
            while not pathlib.Path(where).exists() and time.monotonic() < deadline:
                time.sleep(0.01)
        """,
    )
    result = shell("run", "long.py:long", "-p", "where=stop", "--detach", "--name", "far-away")
    assert result.returncode == 0
    assert result.stdout == "1 far-away\n"
    assert "flowdeck watch 1" in result.stderr
    watching = shell.start("watch", "@last")
    until(lambda: runs(home)[0].state == "Running")
    run = runs(home)[0]
    assert os.getsid(run.pid or 0) == run.pid  # a session of its own: no terminal can take it down
    Path("stop").touch()
    assert watching.wait(timeout=50) == 0
    text = watching.communicate()[0]
    assert "Created flow run 'far-away'" in text
    assert text.splitlines()[-1].startswith("✓ Completed  far-away") or "✓ Completed" in text
    log = home / "launches" / f"{run.uid}.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "alive" in log.read_text()
    assert list(log.parent.iterdir()) == [log]


def test_detach_refuses_what_the_text_of_the_file_tells(
    shell: Shell, home: Path, hello: Path
) -> None:
    for words, message in (
        (["hello.py:hello", "-p", "m=1"], "flow 'hello' has no parameter 'm'."),
        (["hello.py:waits"], "flow 'waits' needs the parameter n."),
        (["hello.py:nope"], "There is no flow 'nope' in hello.py"),
        (["hello.py:hello", "--runner", "rya"], "There is no task runner 'rya'"),
        (["nowhere.py:f"], "There is no file nowhere.py."),
    ):
        result = shell("run", *words, "--detach")
        assert result.returncode == 2
        assert message in result.stderr
    assert runs(home) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "n=abc"], "n: Input should be a valid integer"),
        (["--params", '{"n": "abc"}'], "n: Input should be a valid integer"),
        (["--runner-opt", "max_workers=nothing"], "max_workers"),
    ],
)
def test_a_launch_that_fails_early_is_a_recorded_failure(
    shell: Shell, home: Path, hello: Path, words: list[str], message: str
) -> None:
    launched = objects_of(shell("run", "hello.py:hello", *words, "--detach", "--json").stdout)
    assert launched["state"] == "Launching"
    result = shell("wait", "@last")
    assert result.returncode == 1
    [run] = runs(home)
    assert run.uid == launched["uid"]
    assert run.state == "Failed"
    assert message in (run.message or "")
    assert message in shell("show", "@last").stdout
    assert not list((home / "launches").glob("*.json"))


def objects_of(text: str) -> dict[str, Any]:
    [line] = text.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_detached_import_error_fails_the_launched_run(shell: Shell, home: Path) -> None:
    write("imports.py", "from flowdeck import flow\nimport nothing_x\n@flow\ndef f(): pass\n")
    assert shell("run", "imports.py:f", "--detach").stdout.startswith("1 ")
    assert shell("wait", "1").returncode == 1
    [run] = runs(home)
    assert "No module named 'nothing_x'" in (run.message or "")
    assert "import nothing_x" in shell("show", "1").stdout


def test_a_detached_process_that_dies_at_once_is_crashed_at_the_next_look(
    shell: Shell, home: Path
) -> None:
    write("dies.py", "from flowdeck import flow\nimport os\nos._exit(7)\n@flow\ndef f(): pass\n")
    assert shell("run", "dies.py:f", "--detach").returncode == 0
    assert shell("wait", "1", "--timeout", "30").returncode == 1
    assert runs(home)[0].state == "Crashed"


def test_retry_runs_the_flow_again_from_anywhere(
    shell: Shell, home: Path, hello: Path, tmp_path: Path
) -> None:
    assert shell("run", "hello.py:hello", "-p", "n=4", "--tag", "t", "-q").returncode == 1
    (tmp_path / "elsewhere").mkdir()
    again = shell("retry", "@last-failed", "-q", cwd=tmp_path / "elsewhere")
    assert again.returncode == 1
    fixed = shell("retry", "@last-failed", "-p", "n=2", "--name", "fixed", "-q")
    assert fixed.returncode == 0
    newest, second, first = runs(home)
    assert json.loads(newest.params or "") == {"n": 2, "who": "you"}
    assert newest.rerun_of == second.uid
    assert second.rerun_of == first.uid
    assert newest.tags == ("t",)


def test_retry_asks_for_what_the_record_does_not_hold(shell: Shell, home: Path) -> None:
    write(
        "obj.py",
        """
        from flowdeck import flow
        @flow
        def f(thing): print("got", thing)
        if __name__ == "__main__":
            f(object())
        """,
    )
    import subprocess
    import sys

    env = {**os.environ, **shell.env}
    subprocess.run([sys.executable, "obj.py"], check=True, env=env, capture_output=True)
    result = shell("retry", "@last")
    assert result.returncode == 2
    assert "the value of thing is not in the record" in result.stderr
    assert shell("retry", "@last", "-p", "thing=5", "-q").stdout == "got 5\n"
    Path("obj.py").unlink()
    gone = shell("retry", "@last", "-p", "thing=5")
    assert gone.returncode == 2
    assert "is not known or gone" in gone.stderr


@pytest.mark.parametrize("way", ["-q", "--detach"])
def test_secrets_reach_the_flow_but_not_the_record(shell: Shell, home: Path, way: str) -> None:
    write(
        "hush.py",
        """
        import json, sys
        from flowdeck import flow
        @flow
        def use(api_key: str, options: dict, n: int = 1):
            print("got", api_key[::-1], options["token"][::-1])
            print("argv", json.dumps(sys.argv) if "--run-uid" in sys.argv else "")
        """,
    )
    given = ["-p", "api_key=s3cret", "-p", 'options={"token": "t0ken", "a": 1}', "-p", "n=2"]
    assert shell("run", "hush.py:use", *given, way).returncode == 0
    assert shell("wait", "@last", "--timeout", "30").returncode == 0
    [run] = runs(home)
    assert json.loads(run.params or "") == {
        "api_key": "<hidden>",
        "options": {"token": "<hidden>", "a": 1},
        "n": 2,
    }
    assert not [
        path
        for path in home.rglob("*")
        if path.is_file() and (b"s3cret" in path.read_bytes() or b"t0ken" in path.read_bytes())
    ]
    result = shell("retry", "@last")
    assert result.returncode == 2
    assert "the record hides what is secret in api_key, options" in result.stderr
    assert "-p api_key=... -p options.token=..." in result.stderr
    again = shell("retry", "@last", *given[:4], "-q")
    assert again.stdout.startswith("got terc3s nek0t\n")
    assert json.loads(runs(home)[0].params or "")["n"] == 2


def test_a_flow_cannot_be_run_by_what_only_looks_like_one(cli: Any) -> None:
    write("tricky.py", "class flow:\n    pass\nf = flow\n")
    result = cli("run", "tricky.py:f")
    assert result.exit_code == 2
    assert "is not a flow but 'type'" in result.stderr
    assert objects(cli("runs", "--json")) == []
