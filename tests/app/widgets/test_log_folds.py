"""What makes a log shorter and gives an overview of it: folded tracebacks, patterns, levels over time."""

from __future__ import annotations

from app_data import NOW, ZONE, log

from flowdeck_app.drawing.cells import width
from flowdeck_app.drawing.look import Look
from flowdeck_app.views.log.folds import LogPatterns, folded_traceback, pattern_of, pattern_rows
from flowdeck_app.views.log.levels import MOST_BINS, LevelBins, level_rows
from flowdeck_app.views.logs import log_lines

LOOK = Look(NOW, zone=ZONE)
TRACEBACK = """Traceback (most recent call last):
  File "etl.py", line 10, in fetch
    raise ValueError(f"bad page {page}")
           ^^^^^^^^^^
ValueError: bad page 4
on two lines"""


class TestTracebacks:
    def test_one_line_says_what_was_raised_and_how_much_is_folded(self) -> None:
        message = f"Encountered exception during execution:\n{TRACEBACK}"
        assert folded_traceback(message) == "ValueError: bad page 4 [traceback of 6 lines]"

    def test_what_the_line_itself_says_stays_in_front(self) -> None:
        folded = folded_traceback(f"cannot load\n{TRACEBACK}")
        assert folded == "cannot load ValueError: bad page 4 [traceback of 6 lines]"

    def test_of_a_chain_the_last_exception_counts(self) -> None:
        chain = f"{TRACEBACK}\n\nDuring handling of the above exception:\n\n{TRACEBACK}".replace(
            "bad page 4", "first", 1
        )
        assert "bad page 4" in (folded_traceback(chain) or "")

    def test_other_lines_are_left_alone(self) -> None:
        assert folded_traceback("no Traceback here") is None

    def test_a_wrapped_line_is_folded_unless_all_are_to_be_seen(self) -> None:
        row = log(1, f"oh\n{TRACEBACK}")
        assert len(log_lines(row, LOOK, 100, wrap=True)) == 1
        assert len(log_lines(row, LOOK, 100, wrap=True, fold=False)) == 7


class TestPatterns:
    def test_numbers_and_hexadecimal_names_vary(self) -> None:
        assert pattern_of("GET /invoices?page=12") == "GET /invoices?page=*"
        assert pattern_of("run 'fetch-79c50a0d-12' took 1.5 s") == "run 'fetch-*' took * s"
        assert pattern_of("5f2b7c9a-1234-4bcd-9abc-0123456789ab is 0xdeadbeef") == "* is *"
        assert pattern_of("deadbeef is a word") == "deadbeef is a word"

    def test_lines_of_a_pattern_are_one_with_their_number(self) -> None:
        found = LogPatterns()
        found.add((n, 1, n, NOW, 20, "x", f"GET page={n}") for n in range(1, 294))
        found.add([(300, 1, 1, NOW, 30, "x", "same"), (301, 1, 1, NOW, 30, "x", "same")])
        found.add([(302, 1, 2, NOW, 20, "x", "GET page=a")])
        rows, repeats = pattern_rows(found)
        assert [row.message for row in rows] == ["GET page=*", "same", "GET page=a"]
        assert repeats == {1: 293, 300: 2}
        assert [row.task_no for row in rows] == [0, 1, 2]  # of several: of none
        assert found.reached == 302

    def test_the_number_is_seen_however_long_the_line_is(self) -> None:
        (line,) = log_lines(log(1, "GET " + "x" * 300), LOOK, 60, wrap=False, times=293)
        assert line.plain.endswith(" ×293")
        assert width(line.plain) <= 60

    def test_levels_are_told_apart(self) -> None:
        found = LogPatterns()
        found.add([(1, 1, 1, NOW, 20, "x", "a 1"), (2, 1, 1, NOW, 40, "x", "a 2")])
        assert len(found.groups) == 2

    def test_there_is_an_end_to_patterns(self) -> None:
        words = ["".join(chr(97 + n // 26**i % 26) for i in range(4)) for n in range(20_100)]
        found = LogPatterns()
        found.add((n, 1, 1, NOW, 20, "x", f"word {word}") for n, word in enumerate(words, 1))
        assert len(found.groups) == 20_001
        assert found.groups[-1].count == 100


class TestLevels:
    def test_bars_show_all_lines_and_what_is_worth_a_look(self) -> None:
        bins = LevelBins(0)
        bins.add([(0, 0, 8, 1), (50, 0, 1, 9), (50, 2, 1, 10), (99, 1, 3, 11)], 13)
        assert bins.totals == (9, 3, 1)
        wrong, every = level_rows(bins, LOOK, 116, low=False)
        assert "".join(piece.text for piece in wrong).startswith("1 err, 3 warn   ")
        assert "".join(piece.text for piece in every).startswith("13 lines")
        assert sum(width(piece.text) for piece in every) == 116
        bar = next(piece for piece in wrong if piece.key == 9)
        assert bar.style == "$fd-failed"
        assert every[-1].key == 11

    def test_where_there_is_little_room_one_line_has_the_colour_of_the_worst(self) -> None:
        bins = LevelBins(0)
        bins.add([(0, 0, 8, 1), (9, 2, 1, 9)], 9)
        (line,) = level_rows(bins, LOOK, 10, low=True)
        assert [piece.style for piece in line if piece.text.strip()] == ["$fd-accent", "$fd-failed"]

    def test_stretches_grow_with_the_time_that_the_lines_take(self) -> None:
        bins = LevelBins(0)
        bins.add(((place, 0, 1, place + 1) for place in range(MOST_BINS * 2)), MOST_BINS * 2)
        assert bins.width_us == 2_000
        assert bins.totals == (MOST_BINS * 2, 0, 0)
        assert bins.cell_of(0, 10) == 0
        assert bins.cell_of(bins.width_us * MOST_BINS - 1, 10) == 9
        assert bins.cell_of(10**12, 10) is None

    def test_a_known_length_gives_the_stretches(self) -> None:
        assert LevelBins(0, 3600 * 10**6).width_us == 3600 * 10**6 * 2 // MOST_BINS
