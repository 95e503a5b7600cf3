"""Entries are settled once: by a replay that ingest takes, or discarded; all else stays and says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.inprocess.dashboard import quarantine_service_of, queries_of
from tests.inprocess.ingest import Ingest
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.errors import BadQuery, IngestUnavailable
from tillstream.quarantine.decisions import Decisions
from tillstream.quarantine.service import Edit, LocalQuarantineService
from tillstream.receipt.model import receipt_key

DOLLARS = {**body(cashReceiptID="9"), "currency": "USD"}
REASONS = [{"path": "$.currency", "error": 'expected EUR, got "USD"', "hint": ""}]


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with closing(Pipeline(tmp_path)) as pipeline:
        yield pipeline


@pytest.fixture
def ingest(pipeline: Pipeline) -> Iterator[Ingest]:
    """An ingest that writes to the pipeline's log and deals in dollars."""
    with closing(Ingest(pipeline.path, pipeline.log, pipeline.clock, currency="USD")) as ingest:
        yield ingest


def at(pipeline: Pipeline, ingest: Ingest) -> LocalQuarantineService:
    return quarantine_service_of(pipeline, queries_of(pipeline), f"http://127.0.0.1:{ingest.port}")


def refused(pipeline: Pipeline, content: bytes) -> str:
    pipeline.refuse(content, REASONS)
    pipeline.drain()
    return str(queries_of(pipeline).quarantine()["entries"][0]["id"])


def test_given_a_refusal_whose_cause_is_mended_when_replayed_then_it_counts_once_and_leaves_the_list(
    pipeline: Pipeline, ingest: Ingest
) -> None:
    entry = refused(pipeline, json.dumps(DOLLARS).encode())
    quarantine_service = at(pipeline, ingest)
    outcome = quarantine_service.replay(entry)
    key = receipt_key("12", "3", "9", "2026-11-23 11:59:58")
    assert (outcome.became, outcome.key, outcome.day, outcome.receipts) == ("replayed", key, "2026-11-23", 1)
    pipeline.drain()
    assert pipeline.rows("sales")[0]["receipts"] == 1
    assert quarantine_service.page({})["entries"] == []
    [settled] = quarantine_service.page({"settled": "1"})["entries"]
    assert settled["settled"] == {"decision": "replayed", "at": "2026-11-23T11:00:00.000Z", "key": key}
    found = quarantine_service.one(entry)
    assert found is not None
    assert found["settled"] == settled["settled"]
    again = quarantine_service.replay(entry)
    assert (again.became, again.errors[0]["error"]) == ("settled", "it is replayed already")
    pipeline.drain()
    assert pipeline.counter("duplicates") == 0


def test_given_a_refusal_that_is_still_wrong_when_replayed_then_it_stays_and_says_why(
    pipeline: Pipeline, ingest: Ingest
) -> None:
    entry = refused(pipeline, b'{"storeID": 1}')
    outcome = at(pipeline, ingest).replay(entry)
    assert outcome.became == "refused"
    assert outcome.stays
    assert {error["path"] for error in outcome.errors} >= {"$.date", "$.cashReceiptID"}
    pipeline.drain()
    assert [each["id"] for each in queries_of(pipeline).quarantine()["entries"]] == [entry]


def test_given_an_edited_receipt_when_replayed_then_that_is_posted(pipeline: Pipeline, ingest: Ingest) -> None:
    entry = refused(pipeline, b"{broken")
    edited = json.dumps(body(cashReceiptID="10")).encode() + b"\n"
    outcome = at(pipeline, ingest).replay(entry, Edit(edited, "ndjson"))
    assert outcome.became == "replayed"
    pipeline.drain()
    assert pipeline.store.query("SELECT receipt, source FROM receipts") == [{"receipt": "10", "source": "json/replay"}]


def test_given_a_conflict_when_replayed_then_only_an_edited_one_is_posted(pipeline: Pipeline, ingest: Ingest) -> None:
    pipeline.append(body())
    pipeline.drain()
    pipeline.append(body(documentTotal={"grossTotal": 9}))
    pipeline.drain()
    quarantine_service = at(pipeline, ingest)
    [conflict] = quarantine_service.page({})["entries"]
    assert quarantine_service.replay(conflict["id"]).became == "impossible"
    mended = json.dumps(body(cashReceiptID="2", documentTotal={"grossTotal": 9})).encode()
    assert quarantine_service.replay(conflict["id"], Edit(mended)).became == "replayed"
    pipeline.drain()
    assert pipeline.rows("sales")[0]["receipts"] == 2


@pytest.mark.parametrize("named", ["nonsense", "text/nonsense"])
def test_given_a_format_that_is_not_known_when_replayed_then_it_stays(pipeline: Pipeline, named: str) -> None:
    entry = refused(pipeline, b"{")
    outcome = quarantine_service_of(pipeline, queries_of(pipeline)).replay(entry, Edit(type=named))
    assert (outcome.became, outcome.errors[0]["error"]) == ("impossible", f"there is no format {named!r}")


def test_given_no_ingest_when_replayed_then_nothing_is_settled(pipeline: Pipeline) -> None:
    entry = refused(pipeline, b"{}")
    quarantine_service = quarantine_service_of(pipeline, queries_of(pipeline))
    with pytest.raises(IngestUnavailable):
        quarantine_service.replay(entry)
    assert [each["id"] for each in quarantine_service.page({})["entries"]] == [entry]


def test_given_entries_when_discarded_then_each_is_told_and_they_leave_the_list(pipeline: Pipeline) -> None:
    first, second = refused(pipeline, b"{"), refused(pipeline, b"[")
    quarantine_service = quarantine_service_of(pipeline, queries_of(pipeline))
    assert [each.became for each in quarantine_service.discard([first, second, first, "1"])] == [
        "discarded",
        "discarded",
        "discarded",
        "missing",
    ]
    assert [each.became for each in quarantine_service.discard([first])] == ["settled"]
    assert quarantine_service.discard([]) == []
    assert quarantine_service.page({})["entries"] == []
    assert len(list(Decisions(pipeline.path / "decisions.ndjson").all())) == 2


def test_given_what_is_no_entry_when_settled_then_it_is_told(pipeline: Pipeline) -> None:
    quarantine_service = quarantine_service_of(pipeline, queries_of(pipeline))
    assert quarantine_service.replay("1").became == "missing"
    for settle in (lambda: quarantine_service.replay("x"), lambda: quarantine_service.discard(["x"])):
        with pytest.raises(BadQuery):
            settle()


def test_given_an_entry_of_which_only_the_beginning_is_kept_when_replayed_then_nothing_is_made_of_it(
    pipeline: Pipeline, ingest: Ingest
) -> None:
    header = b"cashReceiptID,storeID,date,grossTotal\n"
    rows = b"".join(b"%d,12,2026-11-23 10:15:00,1234.56\n" % number for number in range(40_000))
    assert ingest.post("/receipts", header + rows).status == 422
    pipeline.drain()
    quarantine_service = at(pipeline, ingest)
    [entry] = quarantine_service.page({})["entries"]
    for edit in (None, Edit(type="csv")):
        outcome = quarantine_service.replay(entry["id"], edit)
        assert (outcome.became, outcome.errors[0]["error"]) == ("impossible", "only the beginning of what came is kept")
    outcome = quarantine_service.replay(entry["id"], Edit(header + rows.splitlines()[0], "csv"))
    assert (outcome.became, outcome.receipts) == ("replayed", 1)
