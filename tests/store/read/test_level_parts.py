"""How many lines of which level there were when, and which lines are the engine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import QueryError
from flowdeck_store.read.reader import Reader
from flowdeck_store.read.tree import levels
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path


def test_levels_are_counted_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "PART", 3)
    builder = StoreBuilder(tmp_path)
    run = builder.run()
    for second, level in ((0, 20), (0, 30), (1, 40), (1, 10), (2, 20), (2, 20), (-5, 20)):
        builder.log(run, 0, level=level, us=T0 + second * SECOND)
    builder.close()
    counts: dict[tuple[int, int], int] = {}
    parts, after, more = 0, 0, True
    with Reader.open(tmp_path) as reader:
        while more:
            part = reader.level_part([run], after_seq=after, zero_us=T0, width_us=SECOND)
            for place, rank, count, _ in part.counts:
                counts[place, rank] = counts.get((place, rank), 0) + count
            parts, after, more = parts + 1, part.reached, part.more
        last = reader.level_part([run], after_seq=after, zero_us=T0, width_us=SECOND)
        only = reader.level_part([run], "level:error", after_seq=0, zero_us=T0, width_us=SECOND)
    assert parts == 2
    assert counts == {(0, 0): 2, (0, 1): 1, (1, 2): 1, (1, 0): 1, (2, 0): 2}
    assert (last.counts, last.reached, last.more) == ((), after, False)
    assert [row[:3] for row in only.counts] == [(1, 2, 1)]


def test_lines_are_mine_or_the_engines(tmp_path: Path) -> None:
    builder = StoreBuilder(tmp_path)
    run = builder.run()
    builder.log(run, 0, "Created task run 'a-0' for task 'a'")
    builder.log(run, 0, "Created tables for 'a'")
    builder.log(run, 1, "Finished in state Completed()", logger="flowdeck.task_runs")
    builder.log(run, 1, "Finished in state Completed()", logger="mine")
    builder.log(run, 0, "anything", logger="flowdeck.engine")
    builder.log(run, 0, "look at this", logger="flowdeck.engine", level=30)
    builder.close()
    with Reader.open(tmp_path) as reader:
        mine = [line.message for line in reader.logs(run, query="by:mine")]
        engine = [line.message for line in reader.logs(run, query="by:engine")]
        assert mine == ["Created tables for 'a'", "Finished in state Completed()", "look at this"]
        assert len(engine) == 3
        with pytest.raises(QueryError, match="neither mine nor engine"):
            reader.logs(run, query="by:me")
