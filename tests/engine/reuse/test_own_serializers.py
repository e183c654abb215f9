"""Serializers of users: under a name, in the file of each value, and unknown in other processes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, serializers, task
from flowdeck.exceptions import ConfigurationError, MissingResult, UnserialisableResult
from flowdeck.runs.results import ResultStore
from flowdeck.serializers import register_serializer
from flowdeck.task_runners import ProcessTaskRunner
from flowdeck_store.file import kept


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    known = dict(serializers._SERIALIZERS)
    yield
    serializers._SERIALIZERS.clear()
    serializers._SERIALIZERS.update(known)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def dumps(value: Any) -> bytes:
    return base64.b64encode(str(value).encode())


def loads(data: bytes) -> str:
    return "loaded " + base64.b64decode(data).decode()


def test_a_value_is_read_by_the_serializer_that_its_file_names(store: ResultStore) -> None:
    register_serializer("team/base-64_1.0", dumps, loads)
    location, size = store.write("x", "team/base-64_1.0")
    assert (store.read(location), size) == ("loaded x", 4)
    assert (store.folder / location).read_bytes().startswith(b"flowdeck-result 1 team/base-64_1.0 ")


def test_objects_and_classes_bring_their_names(store: ResultStore) -> None:
    @register_serializer
    class Words:
        type = "words"

        def dumps(self, value: Any) -> bytes:
            return dumps(value)

        def loads(self, data: bytes) -> Any:
            return loads(data)

    assert isinstance(Words, type)
    assert store.read(store.write("x", "words")[0]) == "loaded x"
    other = Words()
    other.type = "others"
    assert register_serializer(other) is other
    assert store.read(store.write("x", "others")[0]) == "loaded x"


def test_a_process_that_does_not_know_the_serializer_says_so(store: ResultStore) -> None:
    register_serializer("mine", dumps, loads)
    location, _ = store.write("x", "mine")
    del serializers._SERIALIZERS["mine"]
    with pytest.raises(MissingResult, match="serializer 'mine', which is not registered"):
        store.read(location)
    assert store.content(location) == ("mine", dumps("x"))
    assert store.find_kept(location, 4) is None  # another process may know it


def test_what_an_archive_brought_is_not_given_to_code_of_users(store: ResultStore) -> None:
    register_serializer("mine", dumps, loads)
    location = kept.new_location(imported=True)
    data = dumps("x")
    kept.write(store.folder, location, kept.header_line("mine", data, None), data)
    with pytest.raises(MissingResult, match="came with an imported archive"):
        store.read(location)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (("Upper", dumps, loads), ValueError, "cannot be the name of a serializer"),
        (("two words", dumps, loads), ValueError, "cannot be the name"),
        (("a" * 41, dumps, loads), ValueError, "1 to 40"),
        (("json", dumps, loads), ValueError, "flowdeck's own"),
        (("mine", dumps), TypeError, "a name and two functions"),
        ((object(),), TypeError, "type, dumps and loads"),
    ],
)
def test_mistakes_are_told(given: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        register_serializer(*given)


def test_the_name_must_be_known_where_it_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="register_serializer"):
        task(result_serializer="mine")(dumps)
    with pytest.raises(ConfigurationError, match="There is no result serializer <"):
        flow(result_serializer=object())(dumps)  # type: ignore[arg-type]
    register_serializer("mine", dumps, loads)
    assert task(result_serializer="mine")(dumps).result_serializer == "mine"


def test_registered_again_the_new_one_counts(store: ResultStore) -> None:
    register_serializer("mine", dumps, loads)
    location, _ = store.write("x", "mine")
    register_serializer("mine", dumps, lambda data: "new")
    assert store.read(location) == "new"


def test_what_is_no_bytes_cannot_be_kept(store: ResultStore) -> None:
    register_serializer("mine", str, loads)  # type: ignore[arg-type]
    with pytest.raises(UnserialisableResult, match="its dumps returned str instead of bytes"):
        store.write("x", "mine")
    register_serializer("mine", lambda value: memoryview(b"abc"), bytes)  # type: ignore[arg-type, return-value]
    assert store.read(store.write("x", "mine")[0]) == b"abc"


def test_results_of_other_processes_are_kept_by_the_one_of_the_flow(record: Any) -> None:
    register_serializer("mine", dumps, loads)

    @task(persist_result=True, cache_result_in_memory=False, result_serializer="mine")
    def double(n: int) -> int:
        return 2 * n

    @flow(task_runner=ProcessTaskRunner(max_workers=1))
    def f() -> Any:
        return double.submit(2).result()

    assert f() == "loaded 4"
