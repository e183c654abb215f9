"""What a result looks like is recorded as a tree or a table: bounded, without secrets, never failing."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import pytest

from flowdeck.values.outlines import outline, outline_event
from flowdeck_store import events


def tree(value: object) -> dict[str, Any]:
    text = outline(value)
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    assert found["kind"] == "tree"
    return found["root"]  # type: ignore[no-any-return]


def leaves(node: dict[str, Any]) -> dict[str, str]:
    own = {node["key"]: node["text"]} if "text" in node else {}
    for item in node.get("items", ()):
        own |= leaves(item)
    return own


@dataclasses.dataclass
class Account:
    owner: str
    password: str


def test_containers_and_records_become_trees() -> None:
    root = tree({"who": Account("ada", "x1"), "pages": [1, 2, (3, None)]})
    assert (root["type"], root["n"]) == ("dict", 2)
    who, pages = root["items"]
    assert (who["key"], who["type"], who["n"]) == ("who", "Account", 2)
    assert [item["key"] for item in pages["items"]] == ["[0]", "[1]", "[2]"]
    assert pages["items"][2]["items"][1]["text"] == "None"


def test_secrets_are_hidden_wherever_their_name_stands() -> None:
    value = {
        "api_key": "k-123", "who": Account("ada", "hunter2"), b"token": "t-1",
        "headers": [("authorization", "Bearer abc")], "url": "https://x:pw99@host/",
    }  # fmt: skip
    text = outline(value) or ""
    for secret in ("k-123", "hunter2", "t-1", "abc", "pw99"):
        assert secret not in text
    assert text.count("<hidden>") >= 4


def test_what_lies_deep_is_left_out_before_what_comes_last() -> None:
    root = tree({"deep": [[list(range(50)) for _ in range(50)] for _ in range(50)], "last": 7})
    assert leaves(root)["last"] == "7"


@pytest.mark.parametrize(
    "value",
    [list(range(10**6)), {str(n): "x" * 1_000 for n in range(10**4)}, [["y" * 10**6] * 99] * 99],
    ids=["long", "many", "wide"],
)
def test_an_outline_is_bounded_however_large_the_value(value: object) -> None:
    start = time.process_time()
    assert 0 < len(outline(value) or "") < 20_000
    assert time.process_time() - start < 0.5


def test_a_circle_ends() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert tree(circle)["items"][1]["type"] == "list"


class Hostile(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("asked")

    def __len__(self) -> int:
        raise RuntimeError("asked")


class BadRepr:
    def __repr__(self) -> str:
        raise ValueError("no")


def test_code_of_users_is_asked_for_nothing_but_the_reprs_of_leaves() -> None:
    assert tree(Hostile(a=1))["n"] == 1
    assert "repr failed" in tree([BadRepr()])["items"][0]["text"]


@pytest.mark.parametrize("value", [5, "text", None, [], {}, b"x", object()])
def test_what_is_no_container_has_no_outline(value: object) -> None:
    assert outline(value) is None


def test_what_fits_a_line_and_what_is_not_kept_has_none() -> None:
    assert outline([1, 2], "[1, 2]") is None
    many = list(range(100))
    assert outline_event("u", 1, many, repr(many), is_kept=False) is None
    event = outline_event("u", 1, many, repr(many), is_kept=True)
    assert event is not None
    assert event[events.KIND] == events.ARTIFACT
    assert events.is_whole(event)


def library(package: str, name: str, **body: Any) -> Any:
    return type(name, (), {"__module__": f"{package}.core", "__qualname__": name, **body})


def test_a_library_that_fails_or_hangs_costs_nothing_but_the_outline() -> None:
    def fail(self: object) -> None:
        raise RuntimeError("no shape")

    def hang(self: object) -> None:
        while True:
            time.sleep(0.001)

    for body in (fail, hang):
        frame = library("pandas", "DataFrame", iloc=property(body))()
        assert outline(frame) is None


def test_arrays_inside_of_a_tree_are_told_by_their_shape() -> None:
    array = library("numpy", "ndarray", shape=(2000, 3))()
    assert tree({"matrix": array})["items"][0]["text"] == "2,000 × 3"


def test_a_numpy_array_is_its_figures_and_its_corner() -> None:
    numpy = pytest.importorskip("numpy")
    found = json.loads(outline(numpy.array([[1.5, float("nan")], [3.0, -2.0]])) or "")
    assert (found["shape"], found["dtype"], found["min"], found["max"]) == (
        [2, 2], "float64", "-2", "3",
    )  # fmt: skip
    assert found["rows"] == [["1.5", "nan"], ["3", "-2"]]


def test_a_pandas_frame_is_its_head_with_types_and_without_secrets() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": range(1000), "password": ["p1"] * 1000})
    found = json.loads(outline(frame) or "")
    assert found["shape"] == [1000, 2]
    assert found["columns"][0] == {"name": "n", "dtype": "int64"}
    assert found["rows"][1] == ["1", "<hidden>"]
