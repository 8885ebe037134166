import io
import itertools

import pytest
from rich.console import Console

from contacts_schema.console import LogProgress, RichProgress, progress_for, summary
from contacts_schema.report import Progress, Report, Silent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_with_counts_and_seconds_at_most_one_in_two_seconds() -> None:
    lines: list[str] = []
    with LogProgress(lines.append, itertools.count(0.0, 0.5).__next__) as progress:
        progress.step("guard")
        progress.step("merge")
        progress.total(2000)
        for _ in range(10):
            progress.advance(150, 200)
        progress.note("waiting for a lock")
    assert lines == [
        "guard: begins",
        "guard: done, 0.5 s",
        "merge: begins",
        "merge: 2,000 groups to do",
        "merge: 600 of 2,000 groups, 800 rows, 2.0 s",
        "merge: 1,200 of 2,000 groups, 1,600 rows, 4.0 s",
        "waiting for a lock",
        "merge: done, 1,500 groups, 2,000 rows, 5.5 s",
    ]


def test_a_step_that_fails_is_not_said_to_be_done() -> None:
    lines: list[str] = []
    progress = LogProgress(lines.append, lambda: 0.0)
    progress.step("merge")
    with pytest.raises(ZeroDivisionError), progress:
        raise ZeroDivisionError
    assert lines == ["merge: begins"]


def test_one_of_a_kind_is_no_plural() -> None:
    lines: list[str] = []
    with LogProgress(lines.append, lambda: 0.0) as progress:
        progress.step("merge")
        progress.total(1)
        progress.advance(1, 1)
    assert lines[1:] == ["merge: 1 group to do", "merge: done, 1 group, 1 row, 0.0 s"]


def test_a_terminal_gets_a_bar_and_a_line_for_each_step() -> None:
    stream = Terminal()
    clock = itertools.count(0.0, 0.5).__next__
    with RichProgress(Console(file=stream, force_terminal=True, width=120), clock) as progress:
        progress.step("merge")
        progress.total(20)
        progress.advance(5, 6000)
        progress.note("[waiting] for a lock")
    shown = stream.getvalue()
    assert "5/20" in shown
    assert "groups, 6,000 rows" in shown
    assert "[waiting] for a lock\n" in shown
    assert shown.endswith("merge: done, 5 groups, 6,000 rows, 0.5 s\n")


def test_what_suits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_for(io.StringIO()), LogProgress)
    assert isinstance(progress_for(Terminal()), RichProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_for(Terminal()), LogProgress)


@pytest.mark.parametrize("progress", [Silent(), LogProgress(), RichProgress(Console(file=io.StringIO()))])
def test_work_that_was_not_named_first_is_no_error(progress: Progress) -> None:
    progress.total(3)
    progress.advance(1, 1)
    progress.note("x")


def test_the_summary_of_a_merge() -> None:
    report = Report(
        groups=1200,
        rows_merged=1300,
        references_moved={"public.notes": 7, "crm.messages": 2600, "public.calls": 0},
        rows_archived=1301,
        notes=("a merge closed a cycle at public.contacts id=4",),
        seconds=12.34,
    )
    assert summary(report, "duplicates merged") == (
        "duplicates merged: 1,200 groups, 1,300 rows merged, 1,301 rows archived, 12.3 s\n"
        "  rows changed: crm.messages 2,600, public.notes 7\n"
        "  note: a merge closed a cycle at public.contacts id=4"
    )


def test_the_summary_of_a_restore_names_what_was_left_as_it_is() -> None:
    kept = tuple(f"public.contacts id={number}: changed since" for number in range(1052))
    lines = summary(Report(rows_restored=1, kept=kept, seconds=1), "duplicates restored").splitlines()
    assert lines[0] == "duplicates restored: 1 row restored, 1.0 s"
    assert lines[1] == "  left as they are: 1,052"
    assert lines[2:] == [f"    {line}" for line in kept]


def test_a_table_of_which_nothing_changed_is_not_in_the_summary() -> None:
    assert "messages" not in summary(Report(rows_merged=1, references_moved={"public.messages": 0}), "duplicates merged")


def test_the_summary_of_nothing() -> None:
    assert summary(Report(), "duplicates merged") == "duplicates merged: no rows changed, 0.0 s"
