"""Given outcomes; when they are reported; then it is JSON with every refusal, and whole or not there."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tillstream.errors import OperationalError
from tillstream.importing.checkpoint import Counts, Refusal
from tillstream.importing.outcome import Outcome, Report, replacing, write

REFUSALS = [Refusal(2, "line 3", [{"path": "$", "error": "wrong", "hint": ""}]), Refusal(5, "line 6", [])]


def test_a_report_has_the_figures_and_every_refusal() -> None:
    outcome = Outcome(file="a.json", format="JSON")
    outcome.enter(Counts(done=7, receipts=4, refused=2, skipped={"control": 1}, finished=True))
    written = io.BytesIO()
    write(written, outcome, REFUSALS)
    told = json.loads(written.getvalue())
    assert (told["file"], told["receipts"], told["refused"], told["skipped"]) == ("a.json", 4, 2, {"control": 1})
    assert told["faults"] == [
        {"index": 2, "where": "line 3", "errors": [{"path": "$", "error": "wrong", "hint": ""}]},
        {"index": 5, "where": "line 6", "errors": []},
    ]


def test_the_report_of_many_files_is_whole_json() -> None:
    written = io.BytesIO()
    report = Report(written)
    report.add(Outcome(file="a.json"), REFUSALS)
    report.add(Outcome(file="b.json", problem="it is empty"))
    report.end(interrupted=True)
    told = json.loads(written.getvalue())
    assert ([len(each["faults"]) for each in told["files"]], told["interrupted"]) == ([2, 0], True)


@pytest.mark.parametrize(
    ("outcome", "fruitless"),
    [
        (Outcome(file="", receipts=1, refused=9), False),
        (Outcome(file="", skipped={"control": 1}, refused=1), False),
        (Outcome(file=""), False),
        (Outcome(file="", refused=1), True),
        (Outcome(file="", problem="it is empty"), True),
    ],
)
def test_a_file_is_fruitless_where_nothing_in_it_was_of_use(outcome: Outcome, fruitless: bool) -> None:
    assert outcome.fruitless is fruitless


def test_a_file_takes_its_name_once_it_is_whole(tmp_path: Path) -> None:
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
