"""Events from other processes: complete, in order, and never past the end of their run."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck.remote.events import ATOM, END, EventSender, Item, _pause, decode, encode
from flowdeck.remote.remote_run import RemoteRun, ended_state
from flowdeck.runs.recorder import MemoryRecorder
from flowdeck.runs.task_run import FlowRunInfo, TaskRun
from flowdeck_store import events
from flowdeck_store.states import COMPLETED, CRASHED, PENDING, RUNNING, bucket

UID = "a" * 32


class ListPort:
    """Keeps batches; may be told to fail."""

    pickling = "cloudpickle"
    worker = "w"
    linger = 0.005
    patience = 0.0
    is_for_one = False

    def __init__(self) -> None:
        self.batches: list[bytes] = []
        self.broken = False

    def send(self, batch: bytes) -> None:
        if self.broken:
            raise OSError("gone")
        self.batches.append(batch)

    def sleep(self, run: Any, seconds: float) -> None:
        raise NotImplementedError

    def stored(self) -> None:
        raise NotImplementedError

    def items(self) -> list[Item]:
        return [item for batch in self.batches for item in decode(batch)[1]]


def log(no: int, text: Any, level: int = 20) -> events.Event:
    return events.log(UID, no, events.now_us(), level, "x", text)


def until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def messages(items: list[Item]) -> list[Any]:
    return [event[6] for item in items for event in item.events if event[0] == events.LOG]


# -- sending -------------------------------------------------------------------------------------------


def test_events_leave_while_the_run_goes_on_and_the_tail_has_the_rest() -> None:
    port = ListPort()
    sender = EventSender(port)
    recorder = sender.open(UID, 1)
    recorder.emit(log(1, "first"))
    until(lambda: port.batches)
    recorder.emit(log(1, "second"))
    end = (END, COMPLETED, None, None, 5, ATOM, 1, None)
    tail = decode(sender.close(recorder, end))[1]
    items = sorted([*port.items(), *tail], key=lambda item: item.first)
    assert messages(items) == ["first", "second"]
    assert items[-1].events[-1] == end
    assert [item.first for item in items] == sorted({item.first for item in items})


def test_what_may_end_soon_is_not_sent_before_unless_it_is_much() -> None:
    recorder = EventSender(ListPort()).open(UID, 1)
    assert recorder.is_due(0.0)
    assert not recorder.is_due(60.0)
    recorder.events += [log(1, number) for number in range(301)]
    assert recorder.is_due(60.0)


def test_many_threads_lose_nothing_and_keep_their_order() -> None:
    port = ListPort()
    sender = EventSender(port)
    tails: dict[int, list[Item]] = {}

    def execute(no: int) -> None:
        recorder = sender.open(UID, no)
        for index in range(2000):
            recorder.emit(log(no, str(index)))
        tails[no] = decode(sender.close(recorder, (END, 0)))[1]

    threads = [threading.Thread(target=execute, args=[no]) for no in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for no in (1, 2, 3):
        mine = [item for item in port.items() if item.no == no] + tails[no]
        assert messages(mine) == [str(index) for index in range(2000)]


def test_what_could_not_be_sent_is_in_the_tail() -> None:
    port = ListPort()
    port.broken = True
    sender = EventSender(port)
    recorder = sender.open(UID, 1)
    recorder.emit(log(1, "kept"))
    until(lambda: sender._unsent)
    tail = decode(sender.close(recorder, (END, 0)))[1]
    assert messages(tail) == ["kept"]
    assert tail[-1].events[-1] == (END, 0)


def test_what_could_not_be_sent_leaves_as_soon_as_it_can_and_needs_no_further_event() -> None:
    port = ListPort()
    port.broken = True
    sender = EventSender(port)
    recorder = sender.open(UID, 1)
    recorder.emit(log(1, "kept"))
    until(lambda: sender._unsent)
    port.broken = False
    until(lambda: messages(port.items()) == ["kept"])
    last = decode(sender.close(recorder, (END, 0)))[1]
    assert messages(last) == []


def test_a_way_that_stays_closed_is_tried_less_and_less_often_but_at_least_each_second() -> None:
    pauses = [_pause(0.05, failed) for failed in [*range(12), 100_000]]
    assert pauses[0] == pauses[1] == 0.05
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0


def test_nothing_is_tried_for_ever_for_executions_that_are_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    monkeypatch.setattr("flowdeck.remote.events._LONGEST", 0.001)
    monkeypatch.setattr("flowdeck.remote.events._IDLE", 0.05)
    port = ListPort()
    port.broken = True
    sender = EventSender(port)
    sender.send(Item(1, 1, -1, [log(1, "of a function that was left behind")]))
    until(lambda: sender._thread is None)
    port.broken = False
    sender.wake()
    until(lambda: messages(port.items()))


def test_what_a_function_that_was_left_behind_emits_is_dropped() -> None:
    sender = EventSender(ListPort())
    recorder = sender.open(UID, 1)
    sender.close(recorder, (END, 0))
    left = list(recorder.events)
    recorder.emit(log(1, "late"))
    assert recorder.events == left


def test_the_couriers_thread_ends_when_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    monkeypatch.setattr("flowdeck.remote.events._IDLE", 0.01)
    port = ListPort()
    sender = EventSender(port)
    recorder = sender.open(UID, 1)
    for text in ("one", "two"):
        recorder.emit(log(1, text))
        until(lambda: sender._thread is None)
    assert messages(port.items()) == ["one", "two"]


def test_values_that_only_look_like_plain_ones_are_sent_too() -> None:
    class Text(str):
        __slots__ = ()

    batch = encode([Item(1, 2, 0, [log(1, Text("hello"))])])
    assert decode(batch)[1][0].events[0][6] == "hello"


def test_huge_messages_are_cut_before_they_travel() -> None:
    port = ListPort()
    sender = EventSender(port)
    recorder = sender.open(UID, 1)
    recorder.emit(log(1, "x" * 1_000_000))
    (item,) = decode(sender.close(recorder, (END, 0)))[1] or port.items()
    assert len(item.events[0][6]) < 100_000


def test_a_flow_that_a_task_calls_belongs_to_the_task() -> None:
    port = ListPort()
    sender = EventSender(port)
    recorder = sender.open(UID, 7)
    recorder.emit(events.run("b" * 32, 1, flow_key="k", flow_name="f", name="n"))
    last = decode(sender.close(recorder, (END, 0)))[1]
    told = events.describe([*port.items(), *last][0].events[0])  # it may have gone before the end
    assert (told["parent_uid"], told["parent_no"]) == (UID, 7)


# -- receiving -----------------------------------------------------------------------------------------


class _Task:
    name = "t"
    tags: frozenset[str] = frozenset()
    log_prints = None


def remote_run() -> tuple[RemoteRun, MemoryRecorder]:
    recorder = MemoryRecorder()
    info = FlowRunInfo(UID, "run", "flow")
    task: Any = _Task()
    run = TaskRun(task, info, recorder, 1, 0, "t-0", {}, frozenset())
    return RemoteRun(run, (), False), recorder


def state(code: int, us: int, name: str | None = None, attempt: int = 1) -> events.Event:
    return events.state(UID, 1, -1, code, us, name, None, attempt, "w1", None)


def history(execution: int) -> list[events.Event]:
    """What one execution of a task that logs three lines tells."""
    lines = [events.log(UID, 1, 20 + n, 20, "x", f"{execution}-{n}") for n in range(3)]
    return [
        state(RUNNING, 10),
        *lines,
        state(COMPLETED, 30),
        events.log(UID, 1, 31, 20, "x", f"{execution}-end"),
        (END, COMPLETED, None, None, 30, ATOM, 5, None),
    ]


def recorded(recorder: MemoryRecorder) -> list[Any]:
    return [e[6] if e[0] == events.LOG else (e[4], e[6]) for e in recorder.events]


@given(st.data())
def test_any_order_and_repetition_gives_the_same_record(data: Any) -> None:
    told = history(1)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(told) - 1))))
    edges = list(zip([0, *cuts], [*cuts, len(told)], strict=True))
    items = [Item(1, 1, a, told[a:b]) for a, b in edges]
    again = data.draw(st.lists(st.sampled_from(items), max_size=3))
    shuffled = data.draw(st.permutations([*items, *again]))
    subject, recorder = remote_run()
    ends = [end for item in shuffled if (end := subject.receive(item, quiet=True)) is not None]
    assert ends
    assert ends[0][0] == END
    assert recorded(recorder) == [(RUNNING, None), "1-0", "1-1", "1-2"]
    assert [e[6] for e in subject.take_rest()] == ["1-end"]
    assert ended_state(subject, ends[0], 5).is_completed()


def test_the_last_state_is_not_recorded_before_the_end_is_known() -> None:
    subject, recorder = remote_run()
    told = history(1)
    assert subject.receive(Item(1, 1, 0, told[:-1]), quiet=True) is None
    assert (COMPLETED, None) not in recorded(recorder)
    assert not subject.run.state.is_final()
    assert subject.receive(Item(1, 1, len(told) - 1, told[-1:]), quiet=True) is not None


def test_an_engine_that_begins_anew_is_recorded_as_that() -> None:
    subject, recorder = remote_run()
    subject.receive(Item(1, 1, 0, history(1)[:2]), quiet=True)
    subject.receive(Item(1, 2, 0, history(2)[:2]), quiet=True)
    assert subject.receive(Item(1, 1, 2, history(1)[2:]), quiet=True) is None  # the dead one's last
    assert recorded(recorder) == [
        (RUNNING, None), "1-0", (RUNNING, "Rerunning"), "2-0", "1-1", "1-2", "1-end",
    ]  # fmt: skip
    buckets = [e[3] for e in recorder.events if e[0] == events.STATE]
    assert buckets == [bucket(PENDING, None), bucket(RUNNING, None)]


def test_times_of_a_clock_that_is_behind_do_not_go_back() -> None:
    subject, recorder = remote_run()
    subject.run.state.us = 1_000
    subject.receive(Item(1, 1, 0, history(1)[:1]), quiet=True)
    assert [e[5] for e in recorder.events if e[0] == events.STATE] == [1_000]


def test_a_gap_that_is_never_filled_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowdeck.remote.remote_run._GAP", 0.0)
    subject, recorder = remote_run()
    told = history(1)
    assert subject.receive(Item(1, 1, 3, told[3:]), quiet=True) is None
    assert subject.give_up_gap() == told[-1]
    assert recorded(recorder) == ["1-2"]


def test_runs_of_flows_that_a_lost_task_had_called_are_crashed() -> None:
    subject, recorder = remote_run()
    inner = "c" * 32
    told = [
        state(RUNNING, 10),
        events.run(inner, 11, flow_key="k", flow_name="f", name="n"),
        events.state(inner, 0, -1, RUNNING, 12, None, None, 1, None, None),
        events.task(inner, 1, 13, "d", "t", None, None),
        events.state(inner, 1, 1, RUNNING, 14, None, None, 1, None, None),
        events.task(inner, 2, 13, "d", "u", None, None),
        events.state(inner, 2, 1, COMPLETED, 14, None, None, 1, None, None),
    ]
    subject.receive(Item(1, 1, 0, told), quiet=True)
    subject.abandon()
    crashed = [(e[1], e[2], e[3]) for e in recorder.events if e[0] == 4 and e[4] == CRASHED]
    assert crashed == [(inner, 0, 2), (inner, 1, bucket(RUNNING, None))]


def test_a_lost_execution_leaves_its_lines_and_no_last_state() -> None:
    subject, recorder = remote_run()
    subject.receive(Item(1, 1, 0, history(1)[:-1]), quiet=True)
    subject.abandon()
    assert recorded(recorder) == [(RUNNING, None), "1-0", "1-1", "1-2", "1-end"]
