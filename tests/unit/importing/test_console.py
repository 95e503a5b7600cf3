"""Given an import that runs and ends; when it is shown; then a person sees how far it is and what became of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tillstream.clock import ManualClock
from tillstream.importing import console
from tillstream.importing.checkpoint import Checkpoint, Refusal
from tillstream.importing.console import Running, Summary
from tillstream.importing.outcome import Outcome


def refusal(index: int, *reasons: str) -> Refusal:
    return Refusal(
        index, f"line {index + 1}", [{"path": "$", "error": reason, "hint": "mend it"} for reason in reasons]
    )


@pytest.mark.parametrize("quiet", [False, True])
def test_without_a_terminal_there_is_a_line_now_and_then(
    quiet: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = ManualClock(0)
    with closing(Checkpoint(tmp_path, "key")) as ledger, Running(clock, 1_000, quiet=quiet) as running:
        running.begin(tmp_path / "a.json")
        ledger.add(9, 9, 0, {}, [])
        running.show(ledger, 100)
        clock.advance(console.LINE_US / 1e6)
        running.show(ledger, 200)
        running.show(ledger, 300)
        running.begin(tmp_path / "b.json")
        clock.advance(console.LINE_US / 1e6)
        running.show(ledger, 100)
    expected = "" if quiet else "a.json: 9 receipts, 20 %\nb.json: 18 receipts, 40 %\n"
    assert capsys.readouterr().err == expected


def test_trouble_and_its_end_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Running(ManualClock(0), None, quiet=False) as running:
        running.tell("waiting for ingest")
        running.tell("")
    assert capsys.readouterr().err == "waiting for ingest\ningest takes receipts again\n"


def test_the_summary_has_a_row_a_file_their_sum_and_the_first_faults(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary()
    summary.add(
        Outcome(file="a[b].json", format="JSON", receipts=1_000, refused=1, skipped={"sign-on": 2}, finished=True),
        [refusal(4, "wrong", "and more")],
    )
    summary.add(Outcome(file="b.json", problem="it is empty"), [])
    summary.add(Outcome(file="c.json", format="JSON", receipts=5, already=True, finished=True), [])
    summary.add(Outcome(file="d.json", format="JSON", receipts=5, resumed_at=1_200, finished=True), [])
    summary.add(Outcome(file="e.json", format="JSON", receipts=5), [])
    summary.show(dry=False)
    said = capsys.readouterr().out
    for part in (
        "a[b].json",
        "1,000",
        "2 sign-on",
        "it is empty",
        "taken before",
        "went on at record 1,201",
        "not finished",
        "together",
        "1,015",
        "line 5",
        "wrong; mend it (and 1 more)",
    ):
        assert part in said, part
    assert (summary.receipts, summary.refused, summary.skipped, summary.problems) == (1_015, 1, 2, 1)


def test_very_many_files_and_faults_end_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary()
    for number in range(console.FILES_SHOWN + 7):
        summary.add(Outcome(file=f"{number}.json", refused=1, total="1.00 EUR"), [refusal(0, "wrong")])
    summary.show(dry=True)
    said = capsys.readouterr().out
    assert "and 7 more files" in said
    assert f"and {console.FILES_SHOWN + 7 - console.FAULTS_SHOWN} more faults: --report FILE.json has them all" in said
    assert said.count("wrong; mend it") == console.FAULTS_SHOWN
    assert "gross total" in said
