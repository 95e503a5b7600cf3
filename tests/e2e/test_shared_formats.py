"""Given files that others published; when they are imported in dollars; then counts and totals are those of the file."""

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

pytestmark = pytest.mark.skipif(not FILES.exists(), reason="the published files are not beside the project")

ZONE = "America/New_York"

# Of the one sale: an apple for 1.26, of which a reward takes 0.19, no tax, all paid by card.
POSLOG_DAY, POSLOG_TOTAL = "2017-09-30", "1.07"
# Of the order, once it is completed: a steak for 16.48 and two for 45.28, of which 1.36 and 3.74 are tax.
SQUARE_TOTAL, SQUARE_TAX = "61.76", "5.10"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTillstream]:
    data = tmp_path_factory.mktemp("shared") / "data"
    with running_tillstream(data, "--currency", "USD", "--zone", ZONE) as running:
        yield running


def report(path: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """What an import says of its only file."""
    file = path / "report.json"
    options = ("--currency", "USD", "--zone", ZONE, "--state", path / "state", "--report", file)
    ended, output = run_command("import", *arguments, *options)
    assert ended == code, output
    [told] = json.loads(file.read_bytes())["files"]
    assert told["finished"]
    return dict(told)


def counts(told: dict[str, Any]) -> tuple[str, int, int, dict[str, int]]:
    return told["format"], told["receipts"], told["refused"], told["skipped"]


@pytest.mark.parametrize(
    ("file", "expected", "total"),
    [
        (ONE_SALE, ("ARTS POSLog", 1, 0, {"ControlTransaction": 1}), f"{POSLOG_TOTAL} USD"),
        (ORDER, ("Square Orders", 0, 0, {"OPEN": 1}), "0.00 USD"),
    ],
    ids=["POSLog", "Square"],
)
def test_a_dry_run_counts_and_adds_up(
    tmp_path: Path, file: Path, expected: tuple[str, int, int, dict[str, int]], total: str
) -> None:
    told = report(tmp_path, file, "--dry-run")
    assert (counts(told), told["total"]) == (expected, total)


def completed(path: Path) -> Path:
    """The published order, which is open, as it would come once it was paid."""
    order = json.loads(ORDER.read_bytes())
    order["order"] |= {"state": "COMPLETED", "closed_at": "2020-01-17T20:50:00Z"}
    file = path / "completed.json"
    file.write_text(json.dumps(order))
    return file


def shown(chain: RunningTillstream, day: str) -> dict[str, Any]:
    """The only receipt of a day."""
    chain.wait_for_receipts(1, day)
    [row] = chain.get(f"/api/v1/receipts?day={day}").json()["receipts"]
    found: dict[str, Any] = chain.get(f"/api/v1/receipts/{row['key']}").json()
    return found


def test_a_poslog_is_imported_to_the_cent_without_names_of_people(chain: RunningTillstream, tmp_path: Path) -> None:
    told = report(tmp_path, ONE_SALE, "--to", chain.ingest)
    assert counts(told) == ("ARTS POSLog", 1, 0, {"ControlTransaction": 1})
    receipt = shown(chain, POSLOG_DAY)
    summary = chain.summary(POSLOG_DAY)
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
    chain: RunningTillstream, tmp_path: Path
) -> None:
    assert counts(report(tmp_path, ORDER, "--to", chain.ingest)) == ("Square Orders", 0, 0, {"OPEN": 1})
    told = report(tmp_path, completed(tmp_path), "--to", chain.ingest)
    assert counts(told) == ("Square Orders", 1, 0, {})
    receipt = shown(chain, "2020-01-17")
    # 20:50 UTC, on the clock of New York.
    assert receipt["sold_local"] == "2020-01-17T15:50:00"
    assert [receipt[name] for name in ("gross", "net", "tax")] == [SQUARE_TOTAL, "56.66", SQUARE_TAX]
    assert [(line["quantity"], line["gross"]) for line in receipt["lines"]] == [("1", "16.48"), ("2", "45.28")]


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
def test_over_http_a_format_is_recognised_by_its_media_type_or_its_content(chain: RunningTillstream, path: str) -> None:
    for file, known, skipped in ((ONE_SALE, POSLOG, {"ControlTransaction": 1}), (ORDER, SQUARE, {"OPEN": 1})):
        for media_type in (known.media_type, ""):
            answer = chain.post(file.read_bytes(), media_type, path)
            assert answer.status_code == 202, answer.text
            if path == "/receipts":
                assert (answer.json()["accepted"], answer.json()["skipped"]) == (int(file is ONE_SALE), skipped)


@pytest.mark.parametrize("wrong", FORMATS, ids=lambda each: each.title)
def test_with_a_wrong_content_type_the_answer_names_the_right_one(chain: RunningTillstream, wrong: Format) -> None:
    for file, known in ((ONE_SALE, POSLOG), (ORDER, SQUARE)):
        # A POSLog is XML too.
        if wrong is known or (known, wrong) == (POSLOG, XML):
            continue
        for path in ("/receipt", "/receipts"):
            answer = chain.post(file.read_bytes(), wrong.media_type, path)
            assert answer.status_code in (400, 422)
            last = answer.json()["errors"][-1]
            assert known.title in last["error"]
            assert wrong.title in last["error"]
            assert known.media_type in last["hint"]


def test_the_schema_of_orders_is_rejected(chain: RunningTillstream, tmp_path: Path) -> None:
    told = report(tmp_path, FILES / "square" / "order-schema.json", "--to", chain.ingest, code=1)
    assert counts(told) == ("JSON", 0, 1, {})
    required = {"$.cashReceiptID", "$.storeID", "$.date", "$.documentTotal"}
    assert {error["path"] for error in told["faults"][0]["errors"]} == required
    entries = wait_until(
        lambda: chain.get("/api/v1/quarantine?source=json/import").json()["entries"], "it is set aside"
    )
    assert len(entries) == 1
