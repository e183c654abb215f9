"""The pure half of the run and task screens: rows, figures, frames, drift, text to paste."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from app_data import HOSTILE, NOW, ZONE, history, run, task
from run_screen_store import GROUP, HTTP_ERROR, SOURCE, exception, fill, frame, library

from flowdeck_app.control.cancel import cancel, kill
from flowdeck_app.drawing.cells import width
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.screens.run.export_text import Choice, choices, file_name, free_path, text
from flowdeck_app.screens.task.drift import drift, read_lines
from flowdeck_app.screens.task.failure_rows import first_of_interest, headline, item_lines, items
from flowdeck_app.screens.task.failure_text import markdown, traceback_text
from flowdeck_app.screens.task.source import source_rows, variable_rows
from flowdeck_app.views.facts import parameter_rows, result_rows, state_rows, states_line
from flowdeck_app.views.run_header import Estimate, estimate, figures
from flowdeck_store.errors import NotFound
from flowdeck_store.read.reader import Reader
from flowdeck_store.read.records import FailureRecord, ResultRecord, StateRecord
from flowdeck_store.states import COMPLETED, FAILED, PENDING, RUNNING

LOOK = Look(NOW, zone=ZONE)


class TestEstimate:
    def test_many_alike_runs_are_likely(self) -> None:
        points = history(*[(COMPLETED, 60.0 + n) for n in range(6)])
        assert estimate(points, run(99, code=RUNNING), 10) == Estimate(63.0, "likely")

    def test_few_runs_are_a_guess(self) -> None:
        points = history((COMPLETED, 60.0), (FAILED, 1.0))
        found = estimate(points, run(99, code=RUNNING), 10)
        assert found == Estimate(60.0, "a guess")

    def test_without_history_the_pace_counts(self) -> None:
        counts = (0, 5, 0, 5, 0, 0, 0, 0, 0)
        found = estimate((), run(99, code=RUNNING, counts=counts), 10.0)
        assert found == Estimate(20.0, "by pace")

    def test_too_little_is_no_estimate(self) -> None:
        counts = (0, 5, 0, 1, 0, 0, 0, 0, 0)
        assert estimate((), run(99, code=RUNNING, counts=counts), 10.0) is None

    def test_figures_give_way_to_the_room(self) -> None:
        def shown(cells: int) -> str:
            found = figures(
                LOOK, cells, elapsed=10.0, expected=Estimate(60.0, "likely"), usual=55.0,
                slow=("fetch[3]", 12.4), live=True,
            )  # fmt: skip
            return "".join(part for part, _ in found)

        assert shown(100) == "50s left, likely   p50 55.0s   slowest fetch[3] 12.4s"
        assert shown(50) == "50s left, likely   slowest fetch[3] 12.4s"
        assert shown(20) == "50s left, likely"
        assert shown(5) == ""


class TestFrames:
    def test_innermost_first_and_libraries_folded(self) -> None:
        rows = items(HTTP_ERROR)
        assert [row.kind for row in rows] == [
            "exception", "frame", "fold", "frame", "exception", "frame",
        ]  # fmt: skip
        assert rows[1].raised
        assert rows[2].hidden == 2
        assert rows[3].is_user
        assert rows[4].title == "caused by"
        assert first_of_interest(rows) is rows[3]

    def test_all_frames(self) -> None:
        assert [row.kind for row in items(HTTP_ERROR, every_frame=True)].count("frame") == 5

    def test_a_group_lists_its_members(self) -> None:
        titles = [row.title for row in items(GROUP) if row.kind == "exception"]
        assert titles == ["", "1 of 2", "2 of 2"]

    def test_a_suppressed_context_is_left_out(self) -> None:
        captured = exception(context=exception("OSError"), suppress_context=True)
        assert [row.kind for row in items(captured)].count("exception") == 1

    def test_endless_causes_end(self) -> None:
        captured = exception(frames=[])
        captured["cause"] = captured
        assert len(items(captured)) < 50

    @pytest.mark.parametrize("broken", [{}, {"frames": None}, {"frames": [1, "x"]}, {"group": 3}])
    def test_a_broken_record_is_still_an_exception(self, broken: dict[str, object]) -> None:
        assert items(broken)[0].kind == "exception"
        assert headline(broken) == "Exception"

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_rows_stay_in_their_cells(self, hostile: str) -> None:
        captured = exception(hostile, hostile, frames=[frame(file=hostile, func=hostile)])
        for item in items(captured):
            for line in item_lines(item, LOOK, 30, tall=True):
                assert "\n" not in line.plain
                assert "\x1b" not in line.plain
            if item.kind == "frame":
                assert all(width(x.plain) <= 30 for x in item_lines(item, LOOK, 30, tall=True))


class TestSource:
    def test_the_failing_line_and_its_columns_are_marked(self) -> None:
        lines = [row.content.plain for row in source_rows(frame(), LOOK)]
        assert lines[4] == "57 ❯         r.raise_for_status()"
        assert lines[5] == "             ^^^^^^^^^^^^^^^^^^".replace(" " * 13, " " * 13)
        assert lines[5].index("^") == lines[4].index("r.raise")

    def test_shared_indentation_goes(self) -> None:
        shown = source_rows(frame(source=[10, ["        a()", "        b()"]], lineno=11), LOOK)
        assert [row.content.plain for row in shown[:2]] == ["10   a()", "11 ❯ b()"]

    def test_columns_outside_the_line_are_not_marked(self) -> None:
        for col, end_col in ((5, 3), (-1, 4), (0, 999), (None, 3)):
            rows = source_rows(frame(col=col, end_col=end_col), LOOK)
            assert len(rows) == len(SOURCE)

    def test_ascii_has_an_ascii_pointer(self) -> None:
        lines = [row.content.plain for row in source_rows(frame(), Look(NOW, ASCII))]
        assert all(line.isascii() for line in lines)

    def test_no_source_is_said(self) -> None:
        assert "No source" in source_rows(frame(source=None), LOOK)[0].content.plain

    def test_hidden_variables_say_why(self) -> None:
        rows = variable_rows(frame(), LOOK)
        assert "hidden: the name" in rows[3].content.plain
        assert "<hidden>" not in rows[3].content.plain


class TestDrift:
    def _today(self, before: int, lines: list[str]) -> list[str]:
        return [*([""] * before), *lines, "", "# end"]

    def test_same(self) -> None:
        assert drift(frame(), self._today(52, SOURCE)).state == "same"

    def test_a_secret_that_the_record_hides_is_no_change(self) -> None:
        recorded = [f"{SOURCE[0]}", "    password = <hidden>", *SOURCE[2:]]
        captured = frame()
        captured["source"] = [captured["source"][0], recorded]
        today = [SOURCE[0], '    password = "s3cret-word"', *SOURCE[2:]]
        assert drift(captured, self._today(52, today)).state == "same"
        today[1] = '    passwort = "s3cret-word"'
        assert drift(captured, self._today(52, today)).state == "changed"

    def test_moved(self) -> None:
        found = drift(frame(), self._today(62, SOURCE))
        assert (found.state, found.line, found.diff) == ("moved", 67, ())

    def test_changed_maps_the_line_and_shows_the_diff(self) -> None:
        lines = [*SOURCE[:1], "    # new", *SOURCE[1:3], "        r = other()", *SOURCE[4:]]
        found = drift(frame(), self._today(52, lines))
        assert (found.state, found.line) == ("changed", 58)
        assert "+        r = other()" in found.diff

    def test_rewritten(self) -> None:
        found = drift(frame(), ["pass"])
        assert (found.state, found.line) == ("changed", 57)

    def test_gone_and_unknown(self, tmp_path: Path) -> None:
        assert drift(frame(), read_lines(tmp_path / "nothing.py")).state == "gone"
        assert read_lines(tmp_path) is None
        assert drift(frame(source=None), []).state == "unknown"


class TestTextToPaste:
    def _failure(self, captured: dict[str, object]) -> FailureRecord:
        return FailureRecord(1, 1234, 3, NOW, 2, "X", "y", "h", captured)

    def test_markdown_names_everything_and_hides_what_was_hidden(self) -> None:
        found = markdown(
            task(3, code=FAILED), run(1234, "brave-otter", FAILED), self._failure(HTTP_ERROR),
            {"page": "3"}, NOW,
        )  # fmt: skip
        assert "### `fetch[3]` failed: HTTPError: 502 Bad Gateway" in found
        assert "- `page` = `3`" in found
        assert "direct cause" in found

    @pytest.mark.parametrize("hostile", [*HOSTILE, "``` <script> *x* [a](b) `"])
    def test_markdown_cannot_be_broken_out_of(self, hostile: str) -> None:
        captured = exception(hostile[:300], hostile[:300])
        found = markdown(
            task(3, hostile[:99]), run(1, hostile[:99]), self._failure(captured), {}, NOW
        )
        assert "\x1b" not in found
        _, _, head = found.splitlines()[0].partition("` failed: ")
        assert "<script>" not in head.replace("\\<script\\>", "")
        assert found.rstrip().endswith("```")

    def test_text_is_pythons_shape(self) -> None:
        lines = traceback_text(HTTP_ERROR, NOW).splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert "httpx.HTTPError: 502 Bad Gateway" in lines


class TestPanels:
    def _states(self) -> list[StateRecord]:
        codes = (PENDING, RUNNING, FAILED)
        return [
            StateRecord(n, 1, 1, code, None, NOW + n * 2_000_000, None, None)
            for n, code in enumerate(codes)
        ]

    def test_states(self) -> None:
        rows = [row.content.plain for row in state_rows(self._states(), LOOK)]
        assert rows[1].split() == ["10:42:39.000", "+2.0s", "▸", "running"]
        line = "".join(part for part, _ in states_line(self._states(), LOOK))
        assert line == "10:42:37 ◌ › +2.0s ▸ › +2.0s ✗"

    def test_long_histories_leave_out_the_middle(self) -> None:
        states = self._states() * 10
        assert "…" in "".join(part for part, _ in states_line(states, LOOK, most=5))

    def test_a_wait_is_told_from_the_attempt_after_it(self) -> None:
        """Otherwise a task run that failed twice has the sign of a retry twice in a row."""
        seen = [(1, None), (2, None), (0, "AwaitingRetry"), (2, "Retrying"), (4, None)]
        states = [
            StateRecord(seq, 1, 1, code, named, NOW + seq * 1000, None, None)
            for seq, (code, named) in enumerate(seen)
        ]
        line = "".join(part for part, _ in states_line(states, LOOK))
        assert [sign for sign in line if sign in "◌▸↻✗"] == ["◌", "▸", "↻", "▸", "✗"]
        rows = [row.content.plain.split()[-1] for row in state_rows(states, LOOK)]
        assert rows == ["pending", "running", "retrying", "running", "failed"]

    def test_results_say_whether_they_are_kept(self) -> None:
        kept = ResultRecord(1, NOW, "list", 12, "[1,\n2]", "ab/c")
        assert [row.content.plain.split()[0] for row in result_rows(kept, LOOK)] == [
            "type", "size", "kept", "Value", "[1,", "2]",
        ]  # fmt: skip
        lost = ResultRecord(1, NOW, "list", None, None, None)
        assert "persist_result" in result_rows(lost, LOOK)[1].content.plain
        assert result_rows(None, LOOK) == []

    @pytest.mark.parametrize("given", ["{", "[1]", "3", ""])
    def test_parameters_that_are_no_object_are_shown(self, given: str) -> None:
        assert len(parameter_rows(given, LOOK)) == (1 if given else 0)


class TestExport:
    def test_names_are_safe(self) -> None:
        for hostile in HOSTILE:
            name = file_name(run(7, hostile), Choice("", "csv", "tasks"))
            assert name.isascii()
            assert "/" not in name
            assert name.endswith("-tasks.csv")

    def test_a_taken_name_gets_a_number(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").touch()
        (tmp_path / "a-2.csv").touch()
        assert free_path(tmp_path, "a.csv").name == "a-3.csv"

    def test_every_choice_can_be_written(self, home: Path) -> None:
        fill(home).close()
        with Reader.open(home) as reader:
            for part in ("tasks", "logs", "run"):
                for choice in choices(part):  # type: ignore[arg-type]
                    assert "".join(text(reader, 2, choice))

    def test_a_filter_leaves_rows_out(self, home: Path) -> None:
        fill(home).close()
        with Reader.open(home) as reader:
            tasks = "".join(text(reader, 2, Choice("", "json", "tasks", "state:failed")))
            assert [row["name"] for row in json.loads(tasks)] == ["fetch[6]"]
            logs = "".join(text(reader, 2, Choice("", "text", "logs", "level:warning")))
            assert logs.count("\n") == 1
            none = "".join(text(reader, 2, Choice("", "json", "tasks", "state:crashed")))
            assert json.loads(none) == []


class TestControl:
    def test_a_run_that_is_not_there(self, home: Path) -> None:
        fill(home).close()
        with pytest.raises(NotFound):
            cancel(home, 99)

    def test_kill_of_a_run_that_is_over_signals_nobody(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(home).close()
        signals: list[object] = []
        monkeypatch.setattr("os.kill", lambda *args: signals.append(args))
        assert kill(home, 3, patience=0.2) == "Run 3 has ended"
        assert signals == []

    def test_a_process_on_another_machine_is_left_alone(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(home).close()
        signals: list[object] = []
        monkeypatch.setattr("os.kill", lambda *args: signals.append(args))
        assert "runs on here (pid 4711)" in kill(home, 2, patience=0.1)
        assert signals == []

    def test_a_process_of_another_user_is_not_said_to_be_killed(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(home).close()

        def refuse(*args: object) -> None:
            raise PermissionError

        monkeypatch.setattr("flowdeck_app.control.cancel.host_name", lambda: "here")
        monkeypatch.setattr("flowdeck_store.upkeep.liveness.recover", lambda *args: [])
        monkeypatch.setattr("flowdeck_store.upkeep.liveness.process_to_signal", lambda *args: 4711)
        monkeypatch.setattr("os.kill", refuse)
        assert kill(home, 2, patience=0.1) == "The process of run 2 (pid 4711) is another user's"


def test_library_frames_are_told_from_the_users() -> None:
    rows = items(exception(frames=[library()]))
    assert first_of_interest(rows) is rows[1]
