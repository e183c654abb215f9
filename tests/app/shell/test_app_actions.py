"""One registry feeds bindings, help, docs and the user's keymap."""

from __future__ import annotations

import pytest
from textual.binding import BindingsMap

from flowdeck_app.actions import (
    REGISTRY,
    Action,
    ActionRegistry,
    UnknownAction,
    bindings,
    key_table,
)
from flowdeck_app.keys import normalise, resolve


def test_every_key_of_the_registry_is_one_that_textual_knows() -> None:
    for action in REGISTRY:
        for key in action.keys:
            assert normalise(key) == key, action.id


def test_no_action_uses_keys_that_a_terminal_cannot_tell_apart() -> None:
    taken = {key for action in REGISTRY for key in action.keys}
    assert not taken & {"ctrl+m", "ctrl+i", "ctrl+h", "ctrl+j"}


def test_two_actions_cannot_share_a_key_or_a_name() -> None:
    first = Action("a.one", ("x",), "One", "One.", "A")
    with pytest.raises(ValueError, match=r"'a\.one' and 'a\.two' share the key 'x'"):
        ActionRegistry([first, Action("a.two", ("x",), "Two", "Two.", "A")])
    with pytest.raises(ValueError, match="two actions are called"):
        ActionRegistry([first, Action("a.one", ("y",), "Two", "Two.", "A")])


def test_the_same_key_may_mean_another_thing_in_forms() -> None:
    first = Action("a.one", ("escape",), "One", "One.", "A")
    ActionRegistry([first, Action("b.two", ("escape",), "Two", "Two.", "B", scope="form")])


def test_bindings_carry_the_id_so_that_a_keymap_can_change_them() -> None:
    found = BindingsMap(bindings("run.cancel", "app.help"))
    cancel = found.get_bindings_for_key("c")[0]
    assert (cancel.id, cancel.action, cancel.show) == ("run.cancel", "run_cancel", True)
    assert found.get_bindings_for_key("question_mark")[0].id == "app.help"


def test_a_group_of_actions_is_bound_at_once_and_can_be_kept_out_of_the_footer() -> None:
    found = bindings("move.*", "go.open", hide=("go.open",))
    assert {binding.id for binding in found} >= {"move.down", "move.last", "go.open"}
    assert not any(binding.show for binding in found)


def test_an_unknown_action_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(UnknownAction, match=r"run\.cancle.*run\.cancel"):
        bindings("run.cancle")


def test_the_docs_table_lists_every_action_once() -> None:
    table = key_table()
    for action in REGISTRY:
        assert table.count(f"| `{action.id}` |") == 1
    assert "`flowdeck cancel RUN`" in table


def test_a_key_can_be_changed_and_two_keys_given() -> None:
    found = resolve({"run.again": "ctrl+t", "find.filter": "/,ctrl+f", "go.next_attempt": ","})
    assert found.keys["run.again"] == "ctrl+t"
    assert found.keys["find.filter"] == "slash,ctrl+f"
    assert found.problems == (
        (
            "keys: ',' would be both 'go.previous_attempt' and 'go.next_attempt': "
            "'go.next_attempt' keeps '.'"
        ),
    )


def test_a_clash_names_both_actions_and_leaves_the_key_as_it_was() -> None:
    found = resolve({"run.again": "c"})
    assert found.keys == {}
    assert found.problems == (
        "keys: 'c' would be both 'run.cancel' and 'run.again': 'run.again' keeps 'R'",
    )


def test_two_actions_can_swap_their_keys() -> None:
    found = resolve({"run.again": "F", "run.from_failed": "R"})
    assert found.problems == ()
    assert found.keys == {"run.again": "F", "run.from_failed": "R"} or found.keys == {
        "run.again": "upper_f",
        "run.from_failed": "upper_r",
    }


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ({"run.agian": "x"}, "did you mean 'run.again'"),
        ({"run.again": 7}, "needs a key as text"),
        ({"run.again": ""}, "needs a key as text"),
        ({"run.again": "ctrl+nonsense"}, "is no key that a terminal sends"),
    ],
)
def test_bad_key_settings_are_explained(wanted: dict[str, object], part: str) -> None:
    found = resolve(wanted)
    assert found.keys == {}
    assert part in found.problems[0]
