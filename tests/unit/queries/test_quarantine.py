"""The quarantine: entries with their reasons."""

from __future__ import annotations

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.errors import BadQuery
from tillstream.queries.queries import Queries

TODAY = "2026-11-23"


def test_given_refusals_and_conflicts_when_the_quarantine_is_read_then_they_have_reasons(
    pipeline: Pipeline, queries: Queries
) -> None:
    reasons = [{"path": "$.storeID", "error": "is missing", "hint": "name the store"}]
    process_receipts(pipeline, body())
    process_receipts(pipeline, receipt_with_total("1"))
    pipeline.clock.advance(1)
    pipeline.refuse(b'{"customerID": "Bob", "storeID": null}', reasons)
    pipeline.drain()
    entries = queries.quarantine()["entries"]
    assert [entry["kind"] for entry in entries] == ["refused", "conflict"]
    assert entries[0]["reasons"] == reasons
    assert [entry["kind"] for entry in queries.quarantine({"kind": "conflict", "day": TODAY})["entries"]] == [
        "conflict"
    ]
    page = queries.quarantine({"limit": "1"})
    rest = queries.quarantine({"limit": "1", "cursor": page["next"]})
    assert [page["entries"][0], rest["entries"][0]] == entries
    entry = queries.quarantined(entries[0]["id"])
    assert entry is not None
    assert entry["original"] == '{"customerID": "•••", "storeID": null}'


@pytest.mark.parametrize("entry", ["x", "-1", "٣", str(2**63), "9" * 30])
def test_given_text_that_is_not_an_id_when_an_entry_is_read_then_it_is_refused(queries: Queries, entry: str) -> None:
    with pytest.raises(BadQuery):
        queries.quarantined(entry)


def test_given_an_unknown_id_when_an_entry_is_read_then_there_is_none(queries: Queries) -> None:
    assert queries.quarantined(str(2**63 - 1)) is None


def test_given_no_faults_when_read_then_the_list_is_empty(queries: Queries) -> None:
    assert queries.faults() == []
