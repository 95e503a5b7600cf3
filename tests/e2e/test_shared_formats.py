"""Published example files of POSLog and Square are imported with the right counts and totals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.formats import FORMATS, POSLOG, SQUARE, XML, Format
from tests.support.processes import RunningTillstream, run_command, running_tillstream
from tests.support.waiting import wait_until

FILES = Path(__file__).parents[2].parent / "shared" / "formats"
ONE_SALE = FILES / "poslog" / "one-sale.xml"
ORDER = FILES / "square" / "create-order-response.json"

pytestmark = pytest.mark.skipif(not FILES.exists(), reason="the published files are missing")

ZONE = "America/New_York"

POSLOG_DAY, POSLOG_TOTAL = "2017-09-30", "1.07"
"""The sale is an apple for 1.26 with a reward of 0.19, without tax."""

SQUARE_TOTAL, SQUARE_TAX = "61.76", "5.10"
"""The order has items for 16.48 and 45.28, which include tax of 1.36 and 3.74."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTillstream]:
    data = tmp_path_factory.mktemp("shared") / "data"
    with running_tillstream(data, "--currency", "USD", "--zone", ZONE) as running:
        yield running


def report(path: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """Run an import that ends with this exit code, and return the report of its only file."""
    file = path / "report.json"
    options = ("--currency", "USD", "--zone", ZONE, "--state", path / "state", "--report", file)
    ended, output = run_command("import", *arguments, *options)
    assert ended == code, output
    [file_report] = json.loads(file.read_bytes())["files"]
    assert file_report["finished"]
    return dict(file_report)


def counts(file_report: dict[str, Any]) -> tuple[str, int, int, dict[str, int]]:
    return file_report["format"], file_report["receipts"], file_report["refused"], file_report["skipped"]


@pytest.mark.parametrize(
    ("file", "expected", "total"),
    [
        (ONE_SALE, ("ARTS POSLog", 1, 0, {"ControlTransaction": 1}), f"{POSLOG_TOTAL} USD"),
        (ORDER, ("Square Orders", 0, 0, {"OPEN": 1}), "0.00 USD"),
    ],
    ids=["POSLog", "Square"],
)
def test_a_dry_run_reports_counts_and_totals(
    tmp_path: Path, file: Path, expected: tuple[str, int, int, dict[str, int]], total: str
) -> None:
    file_report = report(tmp_path, file, "--dry-run")
    assert (counts(file_report), file_report["total"]) == (expected, total)


def completed(path: Path) -> Path:
    """Write a completed version of the published order, which is open."""
    order = json.loads(ORDER.read_bytes())
    order["order"] |= {"state": "COMPLETED", "closed_at": "2020-01-17T20:50:00Z"}
    file = path / "completed.json"
    file.write_text(json.dumps(order))
    return file


def only_receipt(running: RunningTillstream, day: str) -> dict[str, Any]:
    """The only receipt of a day."""
    running.wait_for_receipts(1, day)
    [row] = running.get(f"/api/v1/receipts?day={day}").json()["receipts"]
    found: dict[str, Any] = running.get(f"/api/v1/receipts/{row['key']}").json()
    return found


def test_a_poslog_is_imported_to_the_cent_without_names_of_people(running: RunningTillstream, tmp_path: Path) -> None:
    file_report = report(tmp_path, ONE_SALE, "--to", running.ingest)
    assert counts(file_report) == ("ARTS POSLog", 1, 0, {"ControlTransaction": 1})
    receipt = only_receipt(running, POSLOG_DAY)
    summary = running.summary(POSLOG_DAY)
    assert [summary[name] for name in ("revenue", "net", "tax", "currency")] == ["1.07", "1.07", "0.00", "USD"]
    assert [receipt[name] for name in ("store", "till", "receipt", "sold_local", "source")] == [
        *("9", "34", "2017-09-30-161", "2017-10-01T02:02:54"),
        "poslog/import",
    ]
    assert receipt["lines"][0]["description"] == "APPLE HONEYCRISP ORG"
    assert [line["gross"] for line in receipt["lines"]] == ["1.26", "-0.19"]
    assert [settlement["amount"] for settlement in receipt["settlements"]] == ["1.07"]
    assert receipt["anomalies"] == []
    for person in ("FL 34", ">94<", "40000066677"):
        assert person in ONE_SALE.read_text()
        assert person not in receipt["original"]


def test_an_open_order_is_skipped_and_a_completed_one_is_imported_to_the_cent(
    running: RunningTillstream, tmp_path: Path
) -> None:
    assert counts(report(tmp_path, ORDER, "--to", running.ingest)) == ("Square Orders", 0, 0, {"OPEN": 1})
    file_report = report(tmp_path, completed(tmp_path), "--to", running.ingest)
    assert counts(file_report) == ("Square Orders", 1, 0, {})
    receipt = only_receipt(running, "2020-01-17")
    # This is 20:50 UTC in the time zone of New York.
    assert receipt["sold_local"] == "2020-01-17T15:50:00"
    assert [receipt[name] for name in ("gross", "net", "tax")] == [SQUARE_TOTAL, "56.66", SQUARE_TAX]
    assert [(line["quantity"], line["gross"]) for line in receipt["lines"]] == [("1", "16.48"), ("2", "45.28")]


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
def test_over_http_a_format_is_recognised_by_its_media_type_or_its_content(
    running: RunningTillstream, path: str
) -> None:
    for file, known, skipped in ((ONE_SALE, POSLOG, {"ControlTransaction": 1}), (ORDER, SQUARE, {"OPEN": 1})):
        for media_type in (known.media_type, ""):
            answer = running.post(file.read_bytes(), media_type, path)
            assert answer.status_code == 202, answer.text
            if path == "/receipts":
                assert (answer.json()["accepted"], answer.json()["skipped"]) == (int(file is ONE_SALE), skipped)


@pytest.mark.parametrize("wrong", FORMATS, ids=lambda each: each.title)
def test_with_a_wrong_content_type_the_answer_names_the_right_one(running: RunningTillstream, wrong: Format) -> None:
    for file, known in ((ONE_SALE, POSLOG), (ORDER, SQUARE)):
        # A POSLog is also XML.
        if wrong is known or (known, wrong) == (POSLOG, XML):
            continue
        for path in ("/receipt", "/receipts"):
            answer = running.post(file.read_bytes(), wrong.media_type, path)
            assert answer.status_code in (400, 422)
            last = answer.json()["errors"][-1]
            assert known.title in last["error"]
            assert wrong.title in last["error"]
            assert known.media_type in last["hint"]


def test_a_json_schema_is_rejected(running: RunningTillstream, tmp_path: Path) -> None:
    file_report = report(tmp_path, FILES / "square" / "order-schema.json", "--to", running.ingest, code=1)
    assert counts(file_report) == ("JSON", 0, 1, {})
    required = {"$.cashReceiptID", "$.storeID", "$.date", "$.documentTotal"}
    assert {error["path"] for error in file_report["faults"][0]["errors"]} == required
    entries = wait_until(lambda: running.quarantine(source="json/import"), "the file is in quarantine")
    assert len(entries) == 1
