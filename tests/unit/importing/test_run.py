"""Given several files; when they are imported or tried out; then one that cannot be taken stops no other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.numbered_receipts import ndjson_file
from tests.support.scripted_ingest import scripted_ingest
from tillstream.clock import SystemClock
from tillstream.errors import OperationalError
from tillstream.importing.console import Running, Summary
from tillstream.importing.destination import Destination
from tillstream.importing.run import Run
from tillstream.importing.taking import Taker


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "b.xyz").write_bytes(b"who knows")
    return [
        ndjson_file(tmp_path / "a.ndjson", range(3)),
        tmp_path / "b.xyz",
        ndjson_file(tmp_path / "c.ndjson", range(3, 7)),
    ]


def carry_out(run: Run) -> tuple[bool, Summary]:
    summary = Summary()
    with Running(SystemClock(), None, quiet=True) as running:
        return run.run(running, summary), summary


def test_all_but_what_cannot_be_taken_is_sent_and_reported(
    ingest: Ingest, url: str, taker: Callable[..., Taker], paths: list[Path], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    whole, summary = carry_out(Run(paths, taker(), Destination(url), 10, report))
    assert (whole, summary.receipts, summary.files, summary.problems) == (True, 7, 3, 1)
    told = json.loads(report.read_bytes())
    assert [(each["receipts"], bool(each["problem"])) for each in told["files"]] == [(3, False), (0, True), (4, False)]
    assert told["interrupted"] is False
    assert len(ingest.records()) == 7


def test_a_name_that_is_no_utf_8_can_be_reported(
    ingest: Ingest, url: str, taker: Callable[..., Taker], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    paths = [ndjson_file(tmp_path / os.fsdecode(b"caf\xe9.ndjson"), range(3)), tmp_path / os.fsdecode(b"\xe9.xyz")]
    paths[1].write_bytes(b"who knows")
    whole, summary = carry_out(Run(paths, taker(), Destination(url), 10, report))
    summary.show(dry=False)
    assert (whole, summary.receipts, summary.problems) == (True, 3, 1)
    told = json.loads(report.read_bytes())
    assert [each["file"] for each in told["files"]] == [f"{tmp_path}/caf\\xe9.ndjson", f"{tmp_path}/\\xe9.xyz"]


def test_a_dry_run_sends_nothing(ingest: Ingest, taker: Callable[..., Taker], paths: list[Path]) -> None:
    whole, summary = carry_out(Run(paths, taker(), None, 10, None))
    assert (whole, summary.receipts, summary.problems) == (True, 7, 1)
    assert ingest.records() == []


def test_what_ends_it_leaves_a_report_of_what_was_before(
    taker: Callable[..., Taker], paths: list[Path], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    with scripted_ingest('202 - {"accepted":3}', "404 - x") as ingest, pytest.raises(OperationalError, match="404"):
        carry_out(Run(paths, taker(), Destination(ingest.url), 10, report))
    told = json.loads(report.read_bytes())
    assert ([each["receipts"] for each in told["files"]], told["interrupted"]) == ([3, 0], True)
