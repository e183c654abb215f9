"""Kept results: they come back as they were, from this folder only, or it is said why not."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import zlib
from typing import TYPE_CHECKING, Any, Self

import pytest

from flowdeck.exceptions import ConfigurationError, MissingResult, UnserialisableResult
from flowdeck.runs.results import KeptValue, ResultStore
from flowdeck.serializers import NAMES, serializer
from flowdeck_store.file import kept

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "home" / "results")


def files(store: ResultStore) -> list[Path]:
    return sorted(path for path in store.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [None, 0, "é", [1, {"a": None}], "x" * 100_000], ids=repr)
def test_values_come_back(store: ResultStore, name: str, value: Any) -> None:
    location, size = store.write(value, name)
    assert store.read(location) == value
    header = len(f"flowdeck-result 1 {name} 00000000\n")
    assert (store.folder / location).stat().st_size == size + header


def test_any_python_value_comes_back_from_a_pickle(store: ResultStore) -> None:
    local = 5
    location, _ = store.write({1: (2, {3}), "f": lambda x: x + local})
    found = store.read(location)
    assert found[1] == (2, {3})
    assert found["f"](1) == 6


def test_compression_makes_results_smaller(store: ResultStore) -> None:
    value = ["same"] * 10_000
    assert store.write(value, "compressed/pickle")[1] < store.write(value, "pickle")[1] / 10


def test_the_reader_needs_not_know_the_serializer(store: ResultStore) -> None:
    assert [store.read(store.write([1], name)[0]) for name in NAMES] == [[1]] * len(NAMES)


def test_a_value_of_a_script_can_be_read_by_another_process(store: ResultStore) -> None:
    script = f"""
import pathlib
from flowdeck.runs.results import ResultStore
class Point:
    def __init__(self): self.x = 7
print(ResultStore(pathlib.Path({str(store.folder)!r})).write(Point())[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert store.read(done.stdout.strip()).x == 7


def test_files_and_folders_are_the_users_own(store: ResultStore) -> None:
    location, _ = store.write(1)
    path = store.folder / location
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert store.folder.stat().st_mode & 0o777 == 0o700


def test_each_value_has_a_place_of_its_own(store: ResultStore) -> None:
    locations = {store.write(1)[0] for _ in range(50)}
    assert len(locations) == 50
    assert len({location.partition("/")[0] for location in locations}) > 10


def test_many_threads_can_write_at_once(store: ResultStore) -> None:
    found: list[tuple[str, int]] = []

    def work(number: int) -> None:
        found.extend((store.write(number * 100 + n)[0], number * 100 + n) for n in range(20))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert all(store.read(location) == value for location, value in found)


def test_what_cannot_be_serialised_is_named_and_leaves_nothing(store: ResultStore) -> None:
    with pytest.raises(UnserialisableResult) as refused:
        store.write({"ok": 1, "bad": [0, threading.Lock()]})
    message = str(refused.value)
    assert "a dict, cannot be serialised with 'pickle' (its part ['bad'][1])" in message
    assert "TypeError: cannot pickle '_thread.lock' object" in message
    assert not store.folder.exists()


def test_the_part_inside_an_object_is_named(store: ResultStore) -> None:
    class Client:
        def __init__(self) -> None:
            self.name = "n"
            self.lock = threading.Lock()

    with pytest.raises(UnserialisableResult, match=r"its part \[0\]\.lock"):
        store.write([Client()])


def test_json_refuses_what_json_cannot_hold(store: ResultStore) -> None:
    with pytest.raises(UnserialisableResult, match="a set, cannot be serialised with 'json'"):
        store.write({1, 2}, "json")


def test_an_unknown_serializer_is_named_with_a_near_match(store: ResultStore) -> None:
    with pytest.raises(ConfigurationError) as refused:
        store.write(1, "pikle")
    assert "'pikle'. Did you mean 'pickle'? Choose one of: pickle, json" in str(refused.value)
    assert serializer("json").name == "json"


def test_a_result_that_is_gone_says_so(store: ResultStore) -> None:
    location, _ = store.write(1)
    assert store.discard(location) is True
    assert store.discard(location) is False
    with pytest.raises(MissingResult, match="is gone: No such file"):
        store.read(location)


def test_a_store_that_was_never_written_has_nothing(store: ResultStore) -> None:
    with pytest.raises(MissingResult, match="is gone"):
        store.read("00/" + "0" * 30)


@pytest.mark.parametrize("keep", [0, 5, 30, -1])
def test_a_file_that_was_not_written_to_its_end_is_no_value(store: ResultStore, keep: int) -> None:
    location, _ = store.write(list(range(100)))
    path = store.folder / location
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MissingResult, match="is damaged"):
        store.read(location)


def test_a_changed_file_is_no_value(store: ResultStore) -> None:
    location, _ = store.write("abc")
    path = store.folder / location
    path.write_bytes(path.read_bytes().replace(b"abc", b"abd"))
    with pytest.raises(MissingResult, match="is damaged"):
        store.read(location)


def test_a_value_whose_class_is_gone_says_so(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "vanishing.py").write_text("class Thing: pass\n")
    import vanishing  # type: ignore[import-not-found]

    location, _ = store.write(vanishing.Thing())
    del vanishing.Thing
    with pytest.raises(MissingResult, match="cannot be read: AttributeError"):
        store.read(location)
    monkeypatch.delitem(sys.modules, "vanishing")


@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/passwd", "", "ab/../../secret", "ab/" + "c" * 29, "AB/" + "c" * 30,
     "ab/" + "c" * 30 + "\n", "ab\\" + "c" * 30],
)  # fmt: skip
def test_nothing_outside_of_the_folder_is_read_or_deleted(
    store: ResultStore, tmp_path: Path, location: str
) -> None:
    secret = tmp_path / "home" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b"flowdeck-result 1 pickle 00000000\n" + pickle.dumps(1))
    for act in (store.read, store.discard):
        with pytest.raises(MissingResult, match="is no location"):
            act(location)
    assert secret.exists()


def test_a_link_that_leads_out_of_the_folder_is_not_followed(
    store: ResultStore, tmp_path: Path
) -> None:
    location, _ = ResultStore(tmp_path / "other").write(1)
    store.folder.mkdir(parents=True)
    shard = location.partition("/")[0]
    (store.folder / shard).symlink_to(tmp_path / "other" / shard)
    with pytest.raises(MissingResult, match="is no location"):
        store.read(location)


def test_a_write_that_fails_leaves_no_file(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(1)
    before = files(store)

    class Full:
        def __init__(self, descriptor: int, mode: str) -> None:
            self.descriptor = descriptor

        def __enter__(self) -> Self:
            return self

        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        def __exit__(self, *_: object) -> None:
            os.close(self.descriptor)

    monkeypatch.setattr("builtins.open", Full)
    with pytest.raises(OSError, match="No space left"):
        store.write(2)
    monkeypatch.undo()
    assert files(store) == before


def test_a_kept_value_is_read_when_it_is_asked_for(store: ResultStore) -> None:
    location, _ = store.write([1, 2])
    kept = KeptValue(store, location)
    assert kept.load() == [1, 2]
    store.discard(location)
    with pytest.raises(MissingResult):
        kept.load()
    assert pickle.loads(pickle.dumps(kept)).location == location


class Exploding:
    """What a stranger may put into an archive."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle from an archive was loaded",)


def put_imported(store: ResultStore, name: str, data: bytes) -> str:
    location = kept.new_location(imported=True)
    kept.write(store.folder, location, kept.header_line(name, data, None), data)
    return location


@pytest.mark.parametrize("name", ["pickle", "compressed/pickle"])
def test_a_pickle_that_an_archive_brought_is_never_loaded(store: ResultStore, name: str) -> None:
    data = pickle.dumps(Exploding())
    location = put_imported(store, name, zlib.compress(data) if "/" in name else data)
    with pytest.raises(MissingResult, match=r"came with an imported archive.*--save FILE"):
        store.read(location)
    with pytest.raises(MissingResult, match="came with an imported archive"):
        store.find_kept(location, None)  # so no re-run takes it over
    with pytest.raises(MissingResult, match="came with an imported archive"):
        KeptValue(store, location).load()
    assert store.content(location)[0] == name


@pytest.mark.parametrize("name", ["json", "compressed/json"])
def test_json_that_an_archive_brought_is_loaded(store: ResultStore, name: str) -> None:
    location = put_imported(store, name, serializer(name).dumps({"a": [1]}))
    assert store.find_kept(location, None) is None
    assert store.read(location) == {"a": [1]}


def test_what_an_archive_brought_may_not_unpack_to_more_than_memory_has(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowdeck.serializers._MOST_UNPACKED", 1000)
    data = serializer("compressed/json").dumps("x" * 2000)
    with pytest.raises(MissingResult, match="unpacks to more than"):
        store.read(put_imported(store, "compressed/json", data))
    assert store.read(store.write_data(data, "compressed/json")) == "x" * 2000


def test_an_unknown_serializer_of_an_archive_is_refused(store: ResultStore) -> None:
    with pytest.raises(MissingResult, match="came with an imported archive"):
        store.read(put_imported(store, "other", b"1"))
