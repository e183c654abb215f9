"""Big values as bytes: who may write on them, and how it is noticed that they have changed."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from flowdeck.remote import parts
from flowdeck.remote.parts import Part, Spare
from flowdeck.remote.pickling import Pickling
from flowdeck.runs import failures


class Block:
    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Block, (pickle.PickleBuffer(self.data),)


def part(data: Any) -> Part:
    return Part.of(Block(data), Pickling())


def arrived(sent: Part, *, read_only: bool) -> Part:
    """What an engine makes of it: with buffers that are read-only for everybody, or not."""
    buffers: list[Any] = []
    data = pickle.dumps(sent, 5, buffer_callback=buffers.append)
    made = bytes if read_only else bytearray
    there: Part = pickle.loads(data, buffers=[made(buffer) for buffer in buffers])
    return there


@pytest.mark.parametrize("size", [10_000, 2_000_000])
@pytest.mark.parametrize("read_only", [True, False])
def test_each_look_at_the_content_is_a_value_of_its_own(read_only: bool, size: int) -> None:
    there = arrived(part(bytearray(size)), read_only=read_only)
    values = [there.content for _ in range(4)]
    for number, value in enumerate(values):
        value.data[number] = 1
    assert [bytes(value.data[:5]) for value in values] == [
        b"\1\0\0\0\0", b"\0\1\0\0\0", b"\0\0\1\0\0", b"\0\0\0\1\0",
    ]  # fmt: skip
    assert {type(value.data) for value in values} == {memoryview}
    assert not any(there.content.data)


def test_a_part_that_is_sent_again_after_a_change_is_another_one() -> None:
    data = bytearray(2_000_000)
    sent = part(data)
    first = arrived(sent, read_only=True)
    assert [first.content.data[0] for _ in range(3)] == [0] * 3
    data[0] = 1
    second = arrived(sent, read_only=True)
    assert [second.content.data[0] for _ in range(3)] == [1] * 3
    assert first.content.data[0] == 0


def test_what_is_read_only_where_it_comes_from_is_so_everywhere_and_not_copied() -> None:
    there = arrived(part(bytes(10_000)), read_only=False)
    one, other = there.content, there.content
    assert memoryview(one.data).readonly
    assert one.data.obj is other.data.obj


def test_a_change_is_noticed_in_the_pickle_and_in_the_buffers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(10_000)
    for limit in (parts._KEPT, 0):  # by a copy, by a digest
        monkeypatch.setattr("flowdeck.remote.parts._KEPT", limit)
        known = part(data).known_by()
        assert part(data).is_same(known)
        data[9_999] ^= 1
        assert not part(data).is_same(known)
        assert not part(data[:-1]).is_same(known)
        text = Part.of(["a" * 9_000], Pickling())
        assert text.is_same(Part.of(["a" * 9_000], Pickling()).known_by())
        assert not text.is_same(Part.of(["b" * 9_000], Pickling()).known_by())


def test_a_value_that_is_too_large_to_be_copied_is_read_only_and_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "explainers", [])
    there = arrived(part(bytearray(10_000)), read_only=True)
    there.taken().data[0] = 1  # small: it was copied
    monkeypatch.setattr("flowdeck.remote.parts.LIMIT", 5_000)
    with pytest.raises(TypeError, match="read-only") as caught:
        there.taken().data[0] = 1
    (explain,) = failures.explainers
    explain(caught.value)
    (note,) = caught.value.__notes__
    assert "Work on a copy" in note


def test_other_errors_get_no_note() -> None:
    error = ValueError("bad")
    parts.explain(error)
    assert not hasattr(error, "__notes__")


def test_memory_of_copies_is_used_again_only_when_nobody_has_it() -> None:
    spare = Spare()
    data = memoryview(b"x" * 10_000)
    first = spare.copy(data)
    view = memoryview(first)
    name = id(first)
    del first
    assert id(spare.copy(data)) != name
    del view
    assert name in {id(spare.copy(data)) for _ in range(3)}
