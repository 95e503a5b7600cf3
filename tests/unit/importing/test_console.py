"""The console shows the progress of an import, and a summary at its end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.inprocess.clock import ManualClock
from tillstream.importing import console
from tillstream.importing.checkpoint import Checkpoint, Refusal
from tillstream.importing.console import ProgressDisplay, Summary
from tillstream.importing.report import Outcome
from tillstream.receipt.model import Fault


def refusal(index: int, *reasons: str) -> Refusal:
    return Refusal.of(index, [Fault("$", reason, "mend it") for reason in reasons], f"line {index + 1}")


@pytest.mark.parametrize("quiet", [False, True])
def test_without_a_terminal_progress_is_printed_as_lines(
    quiet: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = ManualClock(0)
    with closing(Checkpoint(tmp_path, "key")) as checkpoint, ProgressDisplay(clock, 1_000, quiet=quiet) as display:
        display.begin(tmp_path / "a.json")
        checkpoint.add(9, receipts=9)
        display.show(checkpoint, 100)
        clock.advance(console.LINE_INTERVAL_US / 1e6)
        display.show(checkpoint, 200)
        display.show(checkpoint, 300)
        display.begin(tmp_path / "b.json")
        clock.advance(console.LINE_INTERVAL_US / 1e6)
        display.show(checkpoint, 100)
    expected = "" if quiet else "a.json: 9 receipts, 20 %\nb.json: 18 receipts, 40 %\n"
    assert capsys.readouterr().err == expected


def test_a_problem_and_its_end_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(ManualClock(0), None, quiet=False) as display:
        display.notify("waiting for ingest")
        display.notify("")
    assert capsys.readouterr().err == "waiting for ingest\ningest accepts receipts again\n"


def test_the_summary_has_a_row_per_file_a_total_and_the_first_faults(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary()
    summary.add(
        Outcome(file="a[b].json", format="JSON", receipts=1_000, refused=1, skipped={"sign-on": 2}, finished=True),
        [refusal(4, "wrong", "and more")],
    )
    summary.add(Outcome(file="b.json", problem="it is empty"), [])
    summary.add(Outcome(file="c.json", format="JSON", receipts=5, already=True, finished=True), [])
    summary.add(Outcome(file="d.json", format="JSON", receipts=5, resumed_at=1_200, finished=True), [])
    summary.add(Outcome(file="e.json", format="JSON", receipts=5), [])
    summary.show(dry_run=False)
    output = capsys.readouterr().out
    for part in (
        "a[b].json",
        "1,000",
        "2 sign-on",
        "it is empty",
        "imported before",
        "continued at record 1,201",
        "not finished",
        "total",
        "1,015",
        "line 5",
        "wrong; mend it (and 1 more)",
    ):
        assert part in output, part
    assert (summary.receipts, summary.refused, summary.skipped, summary.problems) == (1_015, 1, 2, 1)


def test_the_summary_limits_the_number_of_files_and_faults(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary()
    for number in range(console.FILES_SHOWN + 7):
        summary.add(Outcome(file=f"{number}.json", refused=1, total="1.00 EUR"), [refusal(0, "wrong")])
    summary.show(dry_run=True)
    output = capsys.readouterr().out
    assert "and 7 more files" in output
    assert (
        f"and {console.FILES_SHOWN + 7 - console.FAULTS_SHOWN} more faults: --report FILE.json has them all" in output
    )
    assert output.count("wrong; mend it") == console.FAULTS_SHOWN
    assert "gross total" in output
