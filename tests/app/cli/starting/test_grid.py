"""What ``--grid`` means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.starting.grid import combinations, run_name, values_of


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.1,0.01", ["0.1", "0.01"]), ("2:6", ["2", "3", "4", "5", "6"]), ("6:2", ["6", "5", "4", "3", "2"]),
        ("0:1:0.25", ["0", "0.25", "0.5", "0.75", "1"]), ("1:10:4", ["1", "5", "9"]),
        ("5:1:-2", ["5", "3", "1"]), ("-1:1", ["-1", "0", "1"]), ("0.1:0.3:0.1", ["0.1", "0.2", "0.3"]),
        ("a, b ,a", ["a", "b"]), ('["a,b", 1, null, {"x": [1]}, ""]', ["a,b", "1", "null", '{"x": [1]}', ""]),
        ("2026-01-01", ["2026-01-01"]), ("10:30:00.5x", ["10:30:00.5x"]), ("s3://a:b", ["s3://a:b"]),
    ],
)  # fmt: skip
def test_values(text: str, values: list[str]) -> None:
    if "" in values:
        with pytest.raises(Trouble, match="empty value"):
            values_of("x", text)
        return
    assert values_of("x", text) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "empty value"), ("1,,2", "empty value"), ("[]", "empty value"), ("[1", "no JSON list"),
     ("1:3:0", "empty range"), ("1:3:-1", "empty range"), ("1:999999999", "more than 100,000"),
     ("0:1:1e-400000", "range|values")],
)  # fmt: skip
def test_what_is_no_list_of_values_is_refused(text: str, said: str) -> None:
    with pytest.raises(Trouble, match=said):
        values_of("x", text)


def test_all_combinations_the_last_changing_fastest() -> None:
    assert combinations(["a=1,2", "b=x,y"], ["c"]) == [
        {"a": "1", "b": "x"}, {"a": "1", "b": "y"}, {"a": "2", "b": "x"}, {"a": "2", "b": "y"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("grids", "said"),
    [(["a=1", "a=2"], "gives a twice"), (["a"], "needs name=value"), (["c=1"], "--grid and by -p"),
     (["a=1:1000", "b=1:1000"], "1,000,000 combinations")],
)  # fmt: skip
def test_what_is_given_twice_or_is_too_much_is_refused(grids: list[str], said: str) -> None:
    with pytest.raises(Trouble, match=said):
        combinations(grids, ["c"])


@given(st.text(max_size=30))
def test_any_text_is_values_or_a_sentence(text: str) -> None:
    try:
        assert all(values_of("x", text))
    except Trouble:
        pass  # one clear sentence


def test_a_run_s_name_tells_its_parameters() -> None:
    assert run_name({"lr": "0.1", "depth": "2"}) == "lr=0.1,depth=2"
    assert run_name({"x": "a\n\x1b[31mb"}) == "x=a  [31mb"
    assert len(run_name({"x": "y" * 500})) == 80


def test_a_run_is_not_named_after_a_secret() -> None:
    assert run_name({"api_token": "s3cret", "x": "1"}) == "api_token=<hidden>,x=1"
    assert "hunter2" not in run_name({"url": "postgres://me:hunter2@db/x"})
