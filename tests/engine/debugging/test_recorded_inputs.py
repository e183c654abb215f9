"""What an input of a recorded task run was: decided by what the record shows and what was returned."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flowdeck.debugging.inputs import Lost, Restored, as_json, restore
from flowdeck.debugging.texts import value_in
from flowdeck.values.previews import params_reprs


class Opaque:
    """Its repr says nothing but where it is."""


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Named {self.name}"


def text_of(value: Any, name: str = "x") -> str:
    return params_reprs({name: value})[name]


def kept(value: Any, of: str = "fetch-0 (1.1)") -> Restored:
    return Restored(value, f"the kept result of {of}")


def test_a_whole_result_is_the_input_even_if_it_is_an_object() -> None:
    value = [Opaque()] * 50
    assert restore("x", text_of([Opaque()] * 50), [kept(value)]) == kept(value)


def test_part_of_a_result_is_found_if_one_part_alone_looks_like_it() -> None:
    parts = Named("a"), Named("b")
    found = restore("x", "Named b", [kept(parts)])
    assert found == Restored(parts[1], "item [1] of the kept result of fetch-0 (1.1)")
    found = restore("x", "Named b", [kept({"n": parts[1], "k": parts[0]})])
    assert found == Restored(parts[1], "item ['n'] of the kept result of fetch-0 (1.1)")


def test_of_two_parts_that_look_alike_none_is_guessed() -> None:
    found = restore("x", "Named a", [kept((Named("a"), Named("a")))])
    assert isinstance(found, Lost)
    assert found.why == "what fetch-0 (1.1) returned was changed before it was passed on"


def test_results_in_a_list_are_put_together() -> None:
    values = [Named(str(number)) for number in range(100)]
    results = [kept(value, f"f-{index}") for index, value in enumerate(values)]
    found = restore("x", text_of(values), results)
    assert isinstance(found, Restored)
    assert found.value == values
    assert found.how == "the results of 100 task runs, in a list in the order of their numbers"
    again = restore("x", text_of(tuple(values)), results)
    assert isinstance(again, Restored)
    assert again.value == tuple(values)
    alone = restore("x", "[Named 0]", results[:1])
    assert alone == Restored([values[0]], "the kept result of f-0, in a list")


def test_a_result_that_was_changed_on_the_way_is_lost_and_said_to_be() -> None:
    found = restore("x", "Named c", [kept(Named("a"))])
    assert isinstance(found, Lost)
    assert "changed before it was passed on" in found.why
    assert "-p x=JSON" in found.remedy


def test_a_lost_result_is_of_no_matter_where_the_record_shows_the_value() -> None:
    gone = Lost("f-0 returned it: it was not kept", "keep it.", can_be_computed=True)
    assert restore("x", "[1, 'a']", [gone]) == Restored([1, "a"], "the record shows all of it")
    found = restore("x", "Named a", [gone])
    expected = "f-0 returned it: it was not kept", "keep it. -p x=JSON gives it now.", True
    assert found == Lost(*expected)


def test_one_result_of_several_that_cannot_be_computed_is_not_promised() -> None:
    gone = [Lost("a", "", can_be_computed=True), Lost("b", "")]
    found = restore("x", "[Named a, Named b]", gone)
    assert isinstance(found, Lost)
    assert not found.can_be_computed


def test_a_flow_parameter_or_default_with_the_same_text_is_taken() -> None:
    long = "y" * 300
    other = Restored(long, "the flow's parameter url")
    found = restore("x", text_of(long), [], [Restored("z" * 300, "the default"), other])
    how = "the flow's parameter url, the same as far as the record shows"
    assert found == Restored(long, how)
    default = Restored(Named("a"), "the default")
    assert restore("x", "Named a", [], [other, default]) == default


def test_a_default_that_looks_like_any_of_its_class_is_said_to() -> None:
    default = Restored(Opaque(), "the default")
    found = restore("x", text_of(Opaque()), [], [default])
    assert found == Restored(default.value, "the default, the same as far as the record shows")


@pytest.mark.parametrize("text", ["<hidden>", "{'password': <hidden>}", "'token=<hidden>'"])
def test_what_is_hidden_is_never_guessed(text: str) -> None:
    others = [Restored({"password": "secret"}, "the default"), Restored("secret", "the default")]
    found = restore("x", text, [], others)
    assert isinstance(found, Lost)
    assert "hidden" in found.why
    assert found.remedy == "-p x=JSON gives it: secrets are not recorded."


def test_a_kept_result_with_a_secret_in_it_is_that_result() -> None:
    value = {"password": "abc", "who": Opaque()}
    assert restore("x", text_of(value), [kept(value)]) == kept(value)
    assert isinstance(restore("token", text_of("abc", "token"), [kept("abc")]), Lost)


def test_an_input_that_nothing_is_known_of_says_what_would_keep_it() -> None:
    found = restore("x", "Named a")
    assert isinstance(found, Lost)
    assert "persist_result=True" in found.remedy
    assert "persist_results = true" in found.remedy
    assert isinstance(restore("x", None), Lost)


@pytest.mark.parametrize(
    "value",
    [
        0, -5, 2.5, True, None, "abc", b"abc", 3 + 2j, (), (1,), [1, [2]], {"a": {1}}, set(),
        frozenset({1}), frozenset(), range(2, 5), float("inf"), -float("inf"), Decimal("1.20"),
        Path("/a"), datetime.date(2026, 1, 2), datetime.timedelta(days=1, seconds=2),
        datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), UUID(int=5), [Path("a"), 1],
    ],
    ids=repr,
)  # fmt: skip
def test_what_the_record_shows_all_of_is_read_back(value: Any) -> None:
    found = value_in("x", text_of(value))
    assert found == (value,)
    assert found is not None
    assert type(found[0]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "'abc…", "[1, 2, …", "[[[…]]]", "[...]", "<int of 200 bits>", "open('x')", "x", "a.b",
        "__import__('os').system('true')", "set(range(0, 1000000000000))", "range('a')", "1 + 1",
        "[" * 100_000, "datetime.date(0, 0, 0)", "Decimal('x')", "<hidden>", "", "9" * 5000, "{**a}",
        "1e5", "[x for x in y]", "range(*a)", "datetime.date(**a)",
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_text_that_is_not_the_repr_of_a_plain_value_is_no_value(text: str) -> None:
    assert value_in("x", text) is None


def test_json_names_how_or_why() -> None:
    assert as_json("x", "1", Restored(1, "so")) == {
        "name": "x", "text": "1", "restored": True, "how": "so", "type": "int",
    }  # fmt: skip
    assert as_json("x", None, Lost("so", "do")) == {
        "name": "x", "text": None, "restored": False, "why": "so", "remedy": "do",
    }  # fmt: skip
