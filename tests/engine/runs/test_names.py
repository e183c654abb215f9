"""Names: slugs, hashes of task keys, characters that are refused."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import pytest

from flowdeck.exceptions import InvalidNameError
from flowdeck.runs.names import check_name, flow_display_name, slug, task_key_hash
from flowdeck.values.statics import bound


def test_a_slug_is_two_lower_case_words() -> None:
    for _ in range(2000):
        assert re.fullmatch(r"[a-z]+-[a-z]+", slug())


def test_slugs_of_equal_generators_are_equal_and_others_differ() -> None:
    first = [slug(random.Random(7)) for _ in range(1)] + [slug(random.Random(8))]
    assert first == [slug(random.Random(7)), slug(random.Random(8))]
    assert len({slug() for _ in range(200)}) > 150


def test_slugs_neither_follow_nor_disturb_the_users_random_numbers() -> None:
    random.seed(1)
    name, number = slug(), random.random()
    random.seed(1)
    assert random.random() == number
    random.seed(1)
    assert {slug() for _ in range(5)} != {name}


@pytest.mark.parametrize("character", "/%&<>")
def test_a_banned_character_is_refused_and_named(character: str) -> None:
    with pytest.raises(InvalidNameError) as refused:
        check_name(f"my{character}flow", "flow name")
    assert "flow name" in str(refused.value)
    assert f"invalid character: {character}." in str(refused.value)


@pytest.mark.parametrize("name", ["plain", "my flow", "größe-1", "a_b.c:d", "[bold]", ""])
def test_other_names_are_accepted(name: str) -> None:
    check_name(name, "flow name")


def test_a_flow_is_called_like_its_function_with_hyphens() -> None:
    assert flow_display_name("my_nice_flow") == "my-nice-flow"


def test_a_task_key_hash_is_the_same_in_another_process() -> None:
    code = "from flowdeck.runs.names import task_key_hash; print(task_key_hash('pkg.mod:fetch'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine = task_key_hash("pkg.mod:fetch")
    assert other.stdout.strip() == mine
    assert re.fullmatch("[0-9a-f]{8}", mine)
    assert mine != task_key_hash("pkg.mod:fetch2")


def test_a_task_key_from_an_undecodable_path_still_has_a_hash() -> None:
    assert len(task_key_hash("/tmp/\udcff.py:f")) == 8


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abcd", 1, "…"), ("abcd", 0, ""), ("", 0, "")],
)
def test_bound_keeps_within_the_limit(text: str, limit: int, short: str) -> None:
    assert bound(text, limit) == short
    assert len(short) <= limit
