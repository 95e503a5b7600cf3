"""Entries are settled once: by a replay that ingest takes, or discarded; all else stays and says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.inprocess.dashboard import desk_of, views_of
from tests.inprocess.ingest import Ingest
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.errors import BadQuery, IngestUnavailable
from tillstream.quarantine.decisions import Decisions
from tillstream.quarantine.service import Edit, OpenDesk
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


def at(pipeline: Pipeline, ingest: Ingest) -> OpenDesk:
    return desk_of(pipeline, views_of(pipeline), f"http://127.0.0.1:{ingest.port}")


def refused(pipeline: Pipeline, content: bytes) -> str:
    pipeline.refuse(content, REASONS)
    pipeline.drain()
    return str(views_of(pipeline).quarantine()["entries"][0]["id"])


def test_given_a_refusal_whose_cause_is_mended_when_replayed_then_it_counts_once_and_leaves_the_list(
    pipeline: Pipeline, ingest: Ingest
) -> None:
    entry = refused(pipeline, json.dumps(DOLLARS).encode())
    desk = at(pipeline, ingest)
    outcome = desk.replay(entry)
    key = receipt_key("12", "3", "9", "2026-11-23 11:59:58")
    assert (outcome.became, outcome.key, outcome.day, outcome.receipts) == ("replayed", key, "2026-11-23", 1)
    pipeline.drain()
    assert pipeline.rows("sales")[0]["receipts"] == 1
    assert desk.page({})["entries"] == []
    [settled] = desk.page({"settled": "1"})["entries"]
    assert settled["settled"] == {"decision": "replayed", "at": "2026-11-23T11:00:00.000Z", "key": key}
    found = desk.one(entry)
    assert found is not None
    assert found["settled"] == settled["settled"]
    again = desk.replay(entry)
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
    assert [each["id"] for each in views_of(pipeline).quarantine()["entries"]] == [entry]


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
    desk = at(pipeline, ingest)
    [conflict] = desk.page({})["entries"]
    assert desk.replay(conflict["id"]).became == "impossible"
    mended = json.dumps(body(cashReceiptID="2", documentTotal={"grossTotal": 9})).encode()
    assert desk.replay(conflict["id"], Edit(mended)).became == "replayed"
    pipeline.drain()
    assert pipeline.rows("sales")[0]["receipts"] == 2


@pytest.mark.parametrize("named", ["nonsense", "text/nonsense"])
def test_given_a_format_that_is_not_known_when_replayed_then_it_stays(pipeline: Pipeline, named: str) -> None:
    entry = refused(pipeline, b"{")
    outcome = desk_of(pipeline, views_of(pipeline)).replay(entry, Edit(type=named))
    assert (outcome.became, outcome.errors[0]["error"]) == ("impossible", f"there is no format {named!r}")


def test_given_no_ingest_when_replayed_then_nothing_is_settled(pipeline: Pipeline) -> None:
    entry = refused(pipeline, b"{}")
    desk = desk_of(pipeline, views_of(pipeline))
    with pytest.raises(IngestUnavailable):
        desk.replay(entry)
    assert [each["id"] for each in desk.page({})["entries"]] == [entry]


def test_given_entries_when_discarded_then_each_is_told_and_they_leave_the_list(pipeline: Pipeline) -> None:
    first, second = refused(pipeline, b"{"), refused(pipeline, b"[")
    desk = desk_of(pipeline, views_of(pipeline))
    assert [each.became for each in desk.discard([first, second, first, "1"])] == [
        "discarded",
        "discarded",
        "discarded",
        "missing",
    ]
    assert [each.became for each in desk.discard([first])] == ["settled"]
    assert desk.discard([]) == []
    assert desk.page({})["entries"] == []
    assert len(list(Decisions(pipeline.path / "decisions.ndjson").all())) == 2


def test_given_what_is_no_entry_when_settled_then_it_is_told(pipeline: Pipeline) -> None:
    desk = desk_of(pipeline, views_of(pipeline))
    assert desk.replay("1").became == "missing"
    for settle in (lambda: desk.replay("x"), lambda: desk.discard(["x"])):
        with pytest.raises(BadQuery):
            settle()


def test_given_an_entry_of_which_only_the_beginning_is_kept_when_replayed_then_nothing_is_made_of_it(
    pipeline: Pipeline, ingest: Ingest
) -> None:
    header = b"cashReceiptID,storeID,date,grossTotal\n"
    rows = b"".join(b"%d,12,2026-11-23 10:15:00,1234.56\n" % number for number in range(40_000))
    assert ingest.post("/receipts", header + rows).status == 422
    pipeline.drain()
    desk = at(pipeline, ingest)
    [entry] = desk.page({})["entries"]
    for edit in (None, Edit(type="csv")):
        outcome = desk.replay(entry["id"], edit)
        assert (outcome.became, outcome.errors[0]["error"]) == ("impossible", "only the beginning of what came is kept")
    outcome = desk.replay(entry["id"], Edit(header + rows.splitlines()[0], "csv"))
    assert (outcome.became, outcome.receipts) == ("replayed", 1)
