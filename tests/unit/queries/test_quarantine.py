"""The quarantine: entries with their reasons, and the differences between two versions of a receipt."""

from __future__ import annotations

import json

import pytest
from msgspec import to_builtins

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.errors import BadQuery
from tillstream.queries.quarantine import differences
from tillstream.queries.queries import Queries
from tillstream.receipt.model import Fault

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
    entries = queries.quarantine().entries
    assert [entry.kind for entry in entries] == ["refused", "conflict"]
    assert entries[0].reasons == [Fault(**reason) for reason in reasons]
    assert [entry.kind for entry in queries.quarantine({"kind": "conflict", "day": TODAY}).entries] == ["conflict"]
    page = queries.quarantine({"limit": "1"})
    rest = queries.quarantine({"limit": "1", "cursor": page.next or ""})
    assert [page.entries[0], rest.entries[0]] == entries
    entry = queries.quarantined(entries[0].id)
    assert entry is not None
    assert entry.original == '{"customerID": "•••", "storeID": null}'


@pytest.mark.parametrize("entry", ["x", "-1", "٣", str(2**63), "9" * 30])
def test_given_text_that_is_not_an_id_when_an_entry_is_read_then_it_is_refused(queries: Queries, entry: str) -> None:
    with pytest.raises(BadQuery):
        queries.quarantined(entry)


def test_given_an_unknown_id_when_an_entry_is_read_then_there_is_none(queries: Queries) -> None:
    assert queries.quarantined(str(2**63 - 1)) is None


def test_given_no_faults_when_read_then_the_list_is_empty(queries: Queries) -> None:
    assert queries.faults().faults == []


def differing(first: object, second: object) -> dict[str, tuple[object, object]]:
    rows = differences(json.dumps(first).encode(), json.dumps(second).encode())
    return {row.path: (row.first, row.second) for row in rows if row.differs}


def test_given_two_versions_when_compared_then_every_difference_is_marked_and_nothing_else() -> None:
    other = body(documentTotal={"grossTotal": 9, "netTotal": 4.64, "taxPayable": 0.36}, settlements=[])
    rows = differences(json.dumps(body()).encode(), json.dumps(other).encode())
    assert {row.path for row in rows if row.differs} == {
        "$.documentTotal.grossTotal",
        "$.settlements[0].paymentMechanism",
        "$.settlements[0].settlementAmount",
    }
    assert to_builtins(next(row for row in rows if row.path == "$.lines[1].productCode")) == {
        "path": "$.lines[1].productCode",
        "first": "SAN",
        "second": "SAN",
        "differs": False,
    }


def test_given_equal_amounts_in_another_notation_when_compared_then_nothing_differs() -> None:
    assert to_builtins(differing({"documentTotal": {"grossTotal": "5.00"}}, {"documentTotal": {"grossTotal": 5}})) == {}
    assert (
        differing({"documentTotal": {"grossTotal": 3.3600000000000003}}, {"documentTotal": {"grossTotal": 3.36}}) == {}
    )
    assert to_builtins(differing({"note": 1, "agentID": 7}, {"note": 2, "agentID": "7"})) == {}


def test_given_personal_fields_that_differ_when_compared_then_they_are_redacted() -> None:
    assert to_builtins(differing({"customerID": "Ann"}, {"customerID": "Bob"})) == {"$.customerID": ("•••", "•••")}
    assert to_builtins(differing({"customerID": "Ann"}, {})) == {"$.customerID": ("•••", None)}


def test_given_many_lines_when_compared_then_they_are_in_numeric_order() -> None:
    lines = [{"quantity": number} for number in range(12)]
    paths = [row.path for row in differences(json.dumps({"lines": lines}).encode(), b"{}")]
    assert paths == [f"$.lines[{number}].quantity" for number in range(12)]


@pytest.mark.parametrize("came", [b"{", b"\xff", b"[]", b'{"lines": [1, null], "documentTotal": 7}', b"[" * 100_000])
def test_given_an_unreadable_body_when_compared_then_it_has_no_fields(came: bytes) -> None:
    assert all(row.first is None for row in differences(came, json.dumps(body()).encode()))


def test_given_a_repeated_name_when_compared_then_the_first_value_counts_as_in_the_engine() -> None:
    [row] = differences(b'{"documentTotal": {"grossTotal": 1, "grossTotal": 2}}', b"{}")
    assert row.first == "1"
