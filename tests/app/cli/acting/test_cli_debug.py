"""``flowdeck debug TASK_RUN``: which inputs it restores, what it runs, and where the debugger stops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_builder import objects, runs, write

from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from cli_builder import Shell

FLOW = """
    import json
    from pathlib import Path
    from flowdeck import flow, task

    class Order:
        def __init__(self, amount):
            self.amount = amount

    def fee():
        return 1

    @task(persist_result=True)
    def fetch(count):
        return [Order(number) for number in range(count)]

    @task(persist_result=False)
    def rates(base):
        with open("effects.txt", "a") as file:
            file.write(f"rates {base}\\n")
        return {base: Order(2)}

    def note(task, task_run, state):
        Path("hooked.txt").touch()

    @task(retries=2, on_failure=[note], cache_key_fn=lambda *args: "key", log_prints=True)
    def total(orders, rates, base="eur", *, password="none"):
        print("adding", len(orders))
        found = json.loads(Path("data.json").read_text())
        return sum(order.amount for order in orders) + fee()

    @task
    async def later(orders):
        count = len(orders)
        raise LookupError(count)

    @flow
    def books(count: int = 3, secret: str = "abc"):
        orders = fetch(count)
        later.submit(orders)
        return total.submit(orders, rates.submit("eur"), password=secret)

    @flow
    def hidden_task():
        @task
        def inside(x):
            raise ValueError(x)
        inside(1)

    @flow
    def outer():
        hidden_task()
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def failed(shell: Shell) -> None:
    """A run with two failed tasks: the results of one of their upstreams were not kept."""
    write("books.py", FLOW)
    Path("data.json").write_text("{")
    assert shell("run", "books.py:books", "-q").returncode == 1
    Path("effects.txt").unlink()
    Path("hooked.txt").unlink()


def inputs(told: Any) -> dict[str, dict[str, Any]]:
    (found,) = objects(told)
    return {item["name"]: item for item in found["inputs"]}


def test_it_says_where_each_input_comes_from_or_why_it_cannot_be_had(
    shell: Shell, home: Path, failed: None
) -> None:
    found = inputs(shell("debug", "@last/total", "--json"))
    assert found["orders"]["how"].startswith("the kept result of fetch-")
    assert found["base"]["how"] == "the record shows all of it"
    assert "was not kept" in found["rates"]["why"]
    assert "--recompute" in found["rates"]["remedy"]
    assert "persist_result=True" in found["rates"]["remedy"]
    assert found["password"]["why"] == "it is hidden in the record"
    told = shell("debug", "@last/total")
    assert told.returncode == 2
    assert "cannot run without rates, password." in told.stderr
    assert "rates: not restored: rates-" in told.stderr
    assert not Path("effects.txt").exists()
    assert len(runs(home)) == 1


def test_the_debugger_stops_at_the_users_own_line_with_the_real_inputs(
    shell: Shell, failed: None
) -> None:
    told = shell(
        "debug", "@last/total", "--recompute", "-p", "password=x",
        input="p [o.amount for o in orders], rates['eur'].amount, password\nq\n",
    )  # fmt: skip
    assert told.returncode == 1
    assert "adding 3\n" in told.stdout
    assert "-> found = json.loads(" in told.stdout
    assert "([0, 1, 2], 2, 'x')" in told.stdout
    assert "runs again, for what it returned." in told.stderr
    assert Path("effects.txt").read_text() == "rates eur\n"
    assert told.stderr.count("Encountered exception") == 1
    assert not Path("hooked.txt").exists()


def test_nothing_is_computed_for_inputs_that_are_missing_all_the_same(
    shell: Shell, failed: None
) -> None:
    told = shell("debug", "@last/total", "--recompute")
    assert told.returncode == 2
    assert "nothing runs again for its inputs: password would still be missing." in told.stderr
    assert not Path("effects.txt").exists()


def test_what_does_not_fail_here_says_what_it_returned(shell: Shell, failed: None) -> None:
    Path("data.json").write_text("{}")
    words = ("debug", "@last/total", "-p", "rates={}", "-p", "password=x")
    told = shell(*words)
    assert told.returncode == 0, told.stderr
    assert told.stdout == "adding 3\nIt did not fail here. It returned 4\n"
    assert "changed since" not in told.stderr
    write("books.py", FLOW.replace("return 1", "return 5"))
    told = shell(*words)
    assert "It returned 8" in told.stdout
    assert "The code is not the one that ran: books.fee changed since." in told.stderr
    assert objects(shell(*words, "--json"))[0]["code_changed"] == ["books.fee"]


def test_an_async_task_is_debugged_too(shell: Shell, failed: None) -> None:
    told = shell("debug", "@last/later", input="p count\nq\n")
    assert told.returncode == 1
    assert "-> raise LookupError(count)\n(Pdb) 3\n" in told.stdout


@pytest.mark.parametrize("name", ["total", "later"])
def test_step_stops_at_the_first_line(shell: Shell, failed: None, name: str) -> None:
    given = ["-p", "rates={}", "-p", "password=x"] if name == "total" else []
    told = shell("debug", f"@last/{name}", "--step", *given, input="p len(orders)\nq\n")
    assert told.returncode == 1
    first = {"total": 'print("adding", len(orders))', "later": "count = len(orders)"}[name]
    assert told.stdout == f"{told.stdout.partition('->')[0]}-> {first}\n(Pdb) 3\n(Pdb) "
    assert "left before it ended" in told.stderr


GENERATORS = """
    from pathlib import Path
    from flowdeck import flow, task

    def check(count):
        if not Path("fine.txt").exists():
            raise LookupError(count)

    @task
    def lines(count):
        yield count
        check(count)
        yield count + 1

    @task
    async def pages(count):
        yield count
        check(count)
        yield count + 1

    @flow
    def items():
        return [lines.submit(3), pages.submit(3)]
"""


@pytest.mark.parametrize("name", ["lines", "pages"])
def test_a_generator_is_debugged_to_its_end(shell: Shell, name: str) -> None:
    write("items.py", GENERATORS)
    assert shell("run", "items.py:items", "-q").returncode == 1
    told = shell("debug", f"@last/{name}", input="p count\nup\np count + 10\nq\n")
    assert told.returncode == 1
    assert "-> raise LookupError(count)\n(Pdb) 3\n" in told.stdout
    assert "-> check(count)\n(Pdb) 13\n" in told.stdout
    told = shell("debug", f"@last/{name}", "--step", input="p count + 20\nq\n")
    assert told.returncode == 1
    assert told.stdout.count("--Call--") == 0
    assert "-> yield count\n(Pdb) 23\n(Pdb) " in told.stdout
    assert "left before it ended" in told.stderr
    Path("fine.txt").touch()
    told = shell("debug", f"@last/{name}")
    assert (told.returncode, told.stdout) == (0, "It did not fail here. It returned [3, 4]\n")


def test_breakpoint_in_the_code_stops_there(shell: Shell, failed: None) -> None:
    write("books.py", FLOW.replace("count = len(orders)", "breakpoint(); count = 1"))
    told = shell("debug", "@last/later", input="p len(orders)\nq\n")
    assert "(Pdb) 3\n" in told.stdout
    assert told.returncode == 1
    assert "left before it ended" in told.stderr


def test_the_debugger_is_the_one_that_the_environment_names(shell: Shell, failed: None) -> None:
    write("mine.py", "def post_mortem(tb): print('MINE', tb.tb_frame.f_code.co_name)\n")
    write("other.py", "def set_trace(): ...\n")
    here = str(Path.cwd())
    paths = f"{shell.env['PYTHONPATH']}:{here}"
    env = {"PYTHONPATH": paths, "PYTHONBREAKPOINT": "mine.set_trace"}
    told = shell("debug", "@last/later", env=env)
    assert (told.returncode, told.stdout) == (1, "MINE later\n"), told.stderr
    for named, said in {"other.set_trace": "no post_mortem", "gone.x": "No module"}.items():
        env = {"PYTHONPATH": paths, "PYTHONBREAKPOINT": named}
        told = shell("debug", "@last/later", env=env, input="q\n")
        assert "(Pdb)" in told.stdout
        assert f"PYTHONBREAKPOINT names {named}, but" in told.stderr
        assert said in told.stderr
    told = shell("debug", "@last/later", env={"PYTHONBREAKPOINT": "0"}, input="q\n")
    assert "(Pdb)" in told.stdout
    assert "PYTHONBREAKPOINT" not in told.stderr


def test_the_console_has_the_inputs_and_the_failure(shell: Shell, failed: None) -> None:
    lines = "len(orders)\ntask\nflow_run\nprint(failure)\nsorted(inputs)\n"
    told = shell("debug", "@last/total", "--no-run", input=lines)
    assert told.returncode == 0, told.stderr
    assert ">>> 3\n" in told.stdout
    assert "Task('total')" in told.stdout
    assert "<flow run #1 " in told.stdout
    assert "JSONDecodeError" in told.stdout
    assert "['base', 'orders']" in told.stdout
    assert "password: not restored: it is hidden" in told.stderr
    assert "Here are: base, failure, flow_run, inputs, orders, task" in told.stderr
    assert not Path("effects.txt").exists()


def test_the_folder_of_the_run_is_gone_to(shell: Shell, failed: None) -> None:
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    words = ("debug", "@last/total", "-p", "rates={}", "-p", "password=x")
    told = shell(*words, cwd=elsewhere, input="q\n")
    assert "in the folder of the run: " in told.stderr
    assert "JSONDecodeError" in told.stderr


def test_what_cannot_be_debugged_says_why(shell: Shell, home: Path, failed: None) -> None:
    assert shell("run", "books.py:outer", "-q").returncode == 1
    told = shell("debug", "3.1")
    assert told.returncode == 2
    assert "inside is defined inside the function hidden_task of" in told.stderr
    told = shell("debug", "2.1")
    assert told.returncode == 2
    assert "stands for the subflow run #3" in told.stderr
    write("books.py", FLOW.replace("def total(", "def totals(").replace("total.sub", "totals.sub"))
    told = shell("debug", "1/total")
    assert told.returncode == 2
    assert "There is no task total in" in told.stderr
    assert "Did it become totals?" in told.stderr
    write("books.py", "raise OSError('no such disk')")
    told = shell("debug", "1/total")
    assert told.returncode == 2
    assert "books.py cannot be imported: OSError: no such disk" in told.stderr
    Path("books.py").unlink()
    told = shell("debug", "1/total")
    assert told.returncode == 2
    assert "The file of the task total is gone: " in told.stderr


def test_values_of_an_imported_run_are_never_loaded(
    shell: Shell, home: Path, tmp_path: Path, failed: None
) -> None:
    assert shell("export", "1", "run.fdrun").returncode == 0
    other = {"FLOWDECK_HOME": str(tmp_path / "other")}
    imported = shell("import", "run.fdrun", env=other)
    assert imported.returncode == 0, imported.stderr
    with Reader.open(tmp_path / "other") as reader:
        assert all(result.location is None for result in reader.results(1))
    found = inputs(shell("debug", "1/total", "--json", env=other))
    assert found["orders"]["restored"] is False
    assert "was not kept" in found["orders"]["why"]
