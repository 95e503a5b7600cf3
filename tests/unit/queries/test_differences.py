"""Two versions of a receipt are compared as the engine compares them, field by field."""

from __future__ import annotations

import json

import pytest

from tests.support.receipts import body
from tillstream.queries.differences import differences


def differing(first: object, second: object) -> dict[str, tuple[object, object]]:
    rows = differences(json.dumps(first).encode(), json.dumps(second).encode())
    return {row["path"]: (row["first"], row["second"]) for row in rows if row["differs"]}


def test_given_two_versions_then_only_what_differs_is_marked_and_all_of_it_is_there() -> None:
    other = body(documentTotal={"grossTotal": 9, "netTotal": 4.64, "taxPayable": 0.36}, settlements=[])
    rows = differences(json.dumps(body()).encode(), json.dumps(other).encode())
    assert {row["path"] for row in rows if row["differs"]} == {
        "$.documentTotal.grossTotal",
        "$.settlements[0].paymentMechanism",
        "$.settlements[0].settlementAmount",
    }
    assert next(row for row in rows if row["path"] == "$.lines[1].productCode") == {
        "path": "$.lines[1].productCode",
        "first": "SAN",
        "second": "SAN",
        "differs": False,
    }


def test_given_the_same_amounts_in_other_writing_then_nothing_differs() -> None:
    assert differing({"documentTotal": {"grossTotal": "5.00"}}, {"documentTotal": {"grossTotal": 5}}) == {}
    assert (
        differing({"documentTotal": {"grossTotal": 3.3600000000000003}}, {"documentTotal": {"grossTotal": 3.36}}) == {}
    )
    assert differing({"note": 1, "agentID": 7}, {"note": 2, "agentID": "7"}) == {}


def test_given_persons_that_differ_then_they_stay_hidden() -> None:
    assert differing({"customerID": "Ann"}, {"customerID": "Bob"}) == {"$.customerID": ("•••", "•••")}
    assert differing({"customerID": "Ann"}, {}) == {"$.customerID": ("•••", None)}


def test_given_many_lines_then_they_stand_in_their_order() -> None:
    lines = [{"quantity": number} for number in range(12)]
    paths = [row["path"] for row in differences(json.dumps({"lines": lines}).encode(), b"{}")]
    assert paths == [f"$.lines[{number}].quantity" for number in range(12)]


@pytest.mark.parametrize("came", [b"{", b"\xff", b"[]", b'{"lines": [1, null], "documentTotal": 7}', b"[" * 100_000])
def test_given_what_cannot_be_read_then_it_has_no_fields(came: bytes) -> None:
    assert all(row["first"] is None for row in differences(came, json.dumps(body()).encode()))


def test_given_a_name_twice_then_the_first_is_shown_as_the_engine_takes_it() -> None:
    [row] = differences(b'{"documentTotal": {"grossTotal": 1, "grossTotal": 2}}', b"{}")
    assert row["first"] == "1"
