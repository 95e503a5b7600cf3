"""A report is complete JSON with every refusal, or it does not exist."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tillstream.errors import OperationalError
from tillstream.importing.checkpoint import Counts, Refusal
from tillstream.importing.report import Outcome, Report, replacing, write
from tillstream.receipt.model import Fault

REFUSALS = [Refusal(2, "line 3", [Fault("$", "wrong")]), Refusal(5, "line 6", [])]


def test_a_report_has_the_figures_and_every_refusal() -> None:
    outcome = Outcome(file="a.json", format="JSON")
    outcome.update(Counts(done=7, receipts=4, refused=2, skipped={"control": 1}, finished=True))
    written = io.BytesIO()
    write(written, outcome, REFUSALS)
    decoded = json.loads(written.getvalue())
    assert (decoded["file"], decoded["receipts"], decoded["refused"], decoded["skipped"]) == (
        "a.json",
        4,
        2,
        {"control": 1},
    )
    assert decoded["faults"] == [
        {"index": 2, "where": "line 3", "errors": [{"path": "$", "error": "wrong", "hint": ""}]},
        {"index": 5, "where": "line 6", "errors": []},
    ]


def test_the_report_on_many_files_is_complete_json() -> None:
    written = io.BytesIO()
    report = Report(written)
    report.add(Outcome(file="a.json"), REFUSALS)
    report.add(Outcome(file="b.json", problem="it is empty"))
    report.end(interrupted=True)
    decoded = json.loads(written.getvalue())
    assert ([len(each["faults"]) for each in decoded["files"]], decoded["interrupted"]) == ([2, 0], True)


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (Outcome(file="", receipts=1, refused=9), False),
        (Outcome(file="", skipped={"control": 1}, refused=1), False),
        (Outcome(file=""), False),
        (Outcome(file="", refused=1), True),
        (Outcome(file="", problem="it is empty"), True),
    ],
)
def test_a_file_without_a_usable_item_has_failed(outcome: Outcome, failed: bool) -> None:
    assert outcome.failed is failed


def test_a_report_replaces_its_file_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with replacing(path) as file:
        file.write(b"first")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"second")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"first"
    with pytest.raises(OperationalError, match="could not write the report"), replacing(tmp_path / "none" / "x"):
        pass
