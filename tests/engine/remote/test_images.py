"""Values that cost only what is written on them: nobody sees what another one wrote, nothing stays."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from clusters import until
from flowdeck.remote.images import _CLEAN, LEAST, Image, Images, _pages, _works

SIZE = LEAST + 5  # not a whole number of pages

here = _works()
pytestmark = pytest.mark.skipif(not here, reason="the system has no files in memory")


@pytest.fixture
def images() -> Any:
    found = Images()
    yield found
    found.clear()


def data(byte: int = 7, size: int = SIZE) -> memoryview:
    return memoryview(bytes([byte]) * size)


def view(images: Images, name: str = "a", of: memoryview | None = None) -> memoryview:
    """Return what is given out at the second look, or later."""
    of = data() if of is None else of
    images.view(name, of)
    found = images.view(name, of)
    assert found is not None
    return found


def descriptors() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of this look itself
            found += "flowdeck-image" in os.readlink(f"/proc/self/fd/{name}")
    return found


def mapped() -> int:
    return Path("/proc/self/maps").read_text().count("flowdeck-image")


def test_what_is_asked_for_once_or_is_small_is_not_held(images: Images) -> None:
    assert images.view("a", data()) is None
    small = data(size=LEAST - 1)
    assert images.view("b", small) is None
    assert images.view("b", small) is None
    assert not descriptors()


def test_nobody_sees_what_another_one_writes(images: Images) -> None:
    original = bytearray(b"\7" * SIZE)
    one, other = view(images, of=memoryview(original)), view(images, of=memoryview(original))
    one[0], one[SIZE - 1] = 1, 2
    assert other == original == data()
    assert (one[0], one[SIZE - 1]) == (1, 2)


@pytest.mark.parametrize("places", [[], [0], [SIZE - 1], [4095, 4096], [0, SIZE // 2, SIZE - 1]])
def test_what_nobody_has_any_more_is_used_again_as_it_was(
    images: Images, places: list[int]
) -> None:
    first = view(images)
    address = id(first.obj)
    for place in places:
        first[place] = 1
    first.release()
    for _ in range(3):
        again = view(images)
        assert id(again.obj) == address
        assert again == data()
        again[SIZE // 3] = 1
        again.release()


def test_a_view_of_it_keeps_it(images: Images) -> None:
    first = view(images)
    part = first[10:20]
    del first
    other = view(images)
    other[10] = 1
    assert part == data(size=10)


def test_what_tasks_write_all_over_is_copied_from_then_on(images: Images) -> None:
    first = view(images)
    first[:] = data(1)
    first.release()
    again = images.view("a", data())
    assert again is not None
    assert again == data()
    assert images.view("a", data()) is None
    del first, again
    assert not descriptors()


def test_a_name_stands_for_one_content(images: Images) -> None:
    one, other = view(images, "a", data(1)), view(images, "b", data(2))
    assert (one[0], other[0]) == (1, 2)


def test_values_stay_when_images_go_and_nothing_is_left_when_values_go(images: Images) -> None:
    values = [view(images) for _ in range(5)]
    assert descriptors()
    images.clear()
    values[0][0] = 1
    assert [value[0] for value in values] == [1, 7, 7, 7, 7]
    values.clear()
    gc.collect()
    assert (descriptors(), mapped()) == (0, 0)


def test_an_image_that_nobody_asks_for_goes_by_itself(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowdeck.remote.images.LINGER", 0.05)
    view(images)
    until(lambda: not descriptors() and not mapped())
    until(lambda: not images._is_watched)
    assert view(images) == data()  # and is made again


def test_descriptors_are_bounded(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowdeck.remote.images._MAPPINGS", 10)
    kept = [images.view(name, data()) for name in "aaaaaaaabbbbbbbb"]
    assert sum(value is not None for value in kept) == 10
    assert descriptors() <= 12


def test_memory_is_bounded(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowdeck.remote.images.LIMIT", 2 * SIZE)
    view(images, "a"), view(images, "b")
    assert (images.view("c", data()), images.view("c", data())) == (None, None)
    monkeypatch.setattr("flowdeck.remote.images._SPARED", 0.0)
    assert view(images, "c") == data()
    large = data(size=3 * SIZE)
    assert view(images, "large", large) == large  # alone
    assert descriptors() == 2


def test_where_there_is_no_room_or_no_such_thing_values_are_copied(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError("no room")

    images._works = True
    monkeypatch.setattr(os, "memfd_create", full)
    assert [images.view("a", data()) for _ in range(3)] == [None] * 3
    monkeypatch.delattr(os, "memfd_create")
    assert not _works()


def test_a_kernel_that_does_not_tell_what_was_written_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowdeck.remote.images._pages", lambda mapping: bytes(4))
    assert not _works()


def test_threads_that_write_at_once_see_only_their_own(images: Images) -> None:
    view(images).release()
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            mine = images.view("a", data())
            assert mine is not None
            if mine != data():
                wrong.append(number)
            mine[number * 4096 : number * 4096 + 4] = bytes([number] * 4)
            if mine[number * 4096] != number:
                wrong.append(number)
            del mine

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FORKS = """
import os, sys
from flowdeck.remote.images import LEAST, images
data = memoryview(bytes(LEAST))
images.view("a", data)
mine = images.view("a", data)
pid = os.fork()
if pid == 0:
    mine[0] = 1
    images.view("a", data)
    other = images.view("a", data)
    os._exit(0 if other is not None and other[0] == 0 and mine[0] == 1 else 1)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
again = images.view("a", data)
sys.exit(code or mine[0] or again[0])
"""


def test_a_forked_child_has_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], timeout=60, check=False)
    assert done.returncode == 0


def test_pages_that_were_read_are_not_taken_for_written_ones() -> None:
    image = Image(data())
    mapping = image.mapping()
    assert mapping is not None
    assert mapping[:] == bytes(data())
    pages = _pages(mapping)
    assert len(pages) == -(-SIZE // mmap.PAGESIZE)
    assert not pages.translate(None, _CLEAN)
