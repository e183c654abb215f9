"""Options of task runners as fields of the launch form, and short words for types."""

from __future__ import annotations

import json

import pytest

from flowdeck.task_runners import make_runner, runner_options
from flowdeck_app.cli.given import option_values
from flowdeck_app.screens.launch.form import Form
from flowdeck_app.screens.launch.runner_fields import conflicts, runner_fields, runner_texts
from flowdeck_app.screens.launch.specs import Field, problem
from flowdeck_app.screens.launch.type_words import type_word
from flowdeck_app.screens.launch.what_if import workers_in


def fields(runner: str, **in_code: str) -> list[Field]:
    options = [
        {"name": name, "annotation": annotation, "default": repr(default), "doc": doc}
        for name, annotation, default, doc in runner_options(runner)
    ]
    return runner_fields(runner, options, in_code)


@pytest.mark.parametrize(
    ("runner", "texts", "passed"),
    [
        ("process", {"max_workers": "3"}, {"max_workers": 3}),
        ("concurrent", {}, {}),
        (
            "dask",
            {
                "cluster_kwargs.n_workers": "4",
                "cluster_kwargs.threads_per_worker": "2",
                "cluster_kwargs.memory_limit": "4GB",
                "adapt_kwargs.maximum": "9",
                "more": '{"client_kwargs": {"timeout": 9}, "cluster_kwargs": {"processes": false}}',
            },
            {
                "cluster_kwargs": {
                    "processes": False, "n_workers": 4, "threads_per_worker": 2,
                    "memory_limit": "4GB",
                },
                "adapt_kwargs": {"maximum": 9},
                "client_kwargs": {"timeout": 9},
            },
        ),
        ("dask", {"address": "tcp://h:8786"}, {"address": "tcp://h:8786"}),
        (
            "ray",
            {"init_kwargs.num_cpus": "2", "init_kwargs.object_store_memory": "1.5GB"},
            {"init_kwargs": {"num_cpus": 2, "object_store_memory": 1_500_000_000}},
        ),
    ],
)  # fmt: skip
def test_fields_become_the_options_that_the_runner_takes(
    runner: str, texts: dict[str, str], passed: dict[str, object]
) -> None:
    given = option_values(runner_texts(runner, fields(runner), texts))
    assert given == passed
    assert make_runner(runner, given)


def test_options_in_the_code_are_what_the_fields_begin_with_and_are_kept_beside_changed_ones() -> (
    None
):
    shown = fields("dask", cluster_kwargs="{'n_workers': 4, 'processes': False}", address="None")
    texts = {field.name: field.default for field in shown}
    assert texts["cluster_kwargs.n_workers"] == "4"
    assert json.loads(texts["more"]) == {"cluster_kwargs": {"processes": False}}
    assert runner_texts("dask", shown, {}) == {}
    changed = runner_texts("dask", shown, {"cluster_kwargs.threads_per_worker": "2"})
    assert option_values(changed) == {
        "cluster_kwargs": {"processes": False, "n_workers": 4, "threads_per_worker": 2}
    }
    cleared = runner_texts("dask", shown, {"cluster_kwargs.n_workers": "", "more": ""})
    assert option_values(cleared) == {"cluster_kwargs": None}
    ray = fields("ray", init_kwargs="{'namespace': 'flowdeck', 'num_cpus': 2}")
    assert {f.name: f.default for f in ray if f.default} == {"init_kwargs.num_cpus": "2"}


def test_people_find_workers_threads_memory_and_address_and_no_objects() -> None:
    assert [f.label or f.name for f in fields("dask")] == [
        "address", "workers", "threads", "memory", "at least", "at most", "more",
    ]  # fmt: skip
    assert [f.label or f.name for f in fields("ray")] == [
        "address",
        "cpus",
        "gpus",
        "memory",
        "more",
    ]
    assert [f.label or f.name for f in fields("process")] == ["workers", "more"]
    assert [f.doc for f in fields("process") if f.name == "more"] == ["as JSON: resources"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cluster_kwargs.n_workers", "many"),
        ("cluster_kwargs.n_workers", "0"),
        ("cluster_kwargs.memory_limit", "much"),
        ("more", "n=2"),
        ("more", "[1]"),
    ],
)
def test_options_are_checked_as_they_are_typed(name: str, text: str) -> None:
    spec = next(field for field in fields("dask") if field.name == name)
    assert problem(spec, text)
    form = Form("f.py:f", [], runner="dask", options=fields("dask"), option_texts={name: text})
    assert f"runner.{name}" in form.problems()


def test_a_cluster_that_runs_already_takes_no_workers() -> None:
    texts = {"address": "tcp://h:1", "cluster_kwargs.n_workers": "2"}
    assert "workers" in conflicts("dask", fields("dask"), texts)["address"]
    assert conflicts("dask", fields("dask"), {"address": "tcp://h:1"}) == {}


@pytest.mark.parametrize(
    ("annotation", "word"),
    [
        ("", "any"),
        ("typing.Any", "any"),
        ("int | None", "int?"),
        ("datetime.date", "date"),
        ("typing.Optional[datetime.date]", "date?"),
        ("Literal['full', 'fast']", "full|fast"),
        ("typing.Annotated[int, Field(ge=1)]", "int"),
        ("list[pathlib.Path]", "list[Path]"),
        ("dict[str, list['models.Config']]", "dict[str, list[Config]]"),
        ("Union[int, str, None]", "int|str?"),
        ("tuple[int, ...]", "tuple[int, ...]"),
        ("'Config'", "Config"),
        ("<class 'x'>", "<class 'x'>"),
        ("None", "None"),
    ],
)
def test_types_are_short_words(annotation: str, word: str) -> None:
    assert type_word(annotation) == word


def test_a_choice_is_its_values() -> None:
    assert type_word("Mode", ("full", "fast"), nullable=True) == "full|fast?"


@pytest.mark.parametrize(
    ("runner", "texts", "at_once"),
    [
        ("process", {"max_workers": "3"}, 3),
        ("process", {"max_workers": "0"}, None),
        ("dask", {}, None),
        ("dask", {"cluster_kwargs.n_workers": "2"}, 8),
        ("dask", {"cluster_kwargs.n_workers": "2", "cluster_kwargs.threads_per_worker": "1"}, 2),
        ("dask", {"cluster_kwargs.threads_per_worker": "4"}, 8),
        ("dask", {"adapt_kwargs.maximum": "5", "cluster_kwargs.threads_per_worker": "2"}, 10),
        ("ray", {"init_kwargs.num_cpus": "6"}, 6),
        ("sequential", {}, None),
    ],
)
def test_options_say_how_many_tasks_run_at_once(
    runner: str, texts: dict[str, str], at_once: int | None
) -> None:
    assert workers_in(runner, fields(runner), texts, 8) == at_once
