"""Receipts are found by what readers ask, and shown whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell, total
from tests.support.receipts import body
from tillstream.errors import BadQuery
from tillstream.queries.queries import Queries
from tillstream.receipt.model import receipt_key
from tillstream.stores.model import Store

TODAY = "2026-11-23"


def test_given_filters_when_receipts_are_asked_then_only_those_come(pipeline: Pipeline, queries: Queries) -> None:
    odd = total("9.99", cashReceiptID="odd", settlements=[{"settlementAmount": 1}])
    pipeline.append(body(), total("-3.20", cashReceiptID="back", storeID="13"), odd)
    pipeline.append(body(cashReceiptID="old", date="2026-11-22 08:30:00"))
    pipeline.drain()

    def numbers(**filters: str) -> set[str]:
        return {
            each["receipt"]
            for each in queries.receipts({name.rstrip("_"): text for name, text in filters.items()})["receipts"]
        }

    assert numbers() == {"1", "back", "odd", "old"}
    assert numbers(day="2026-11-22") == {"old"}
    assert numbers(store="13", till="3") == {"back"}
    assert numbers(receipt="1") == {"1"}
    assert numbers(from_="2026-11-23T00:00:00", to="2026-11-23T11:59:58") == set()
    assert numbers(from_="2026-11-22T08:30:00", to="2026-11-23T00:00:00") == {"old"}
    assert numbers(min="5", max="5.00") == {"1", "old"}
    assert numbers(max="-0.01") == {"back"}
    odd_ones = queries.receipts({"anomaly": "any"})["receipts"]
    assert [each["receipt"] for each in odd_ones] == ["odd"]
    assert numbers(anomaly=odd_ones[0]["anomalies"][0]) == {"odd"}
    assert numbers(anomaly="%") == set()


def test_given_a_key_when_the_receipt_is_asked_then_all_of_it_comes_without_the_persons(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(agentID="Ann", customerID="Bob", note="<script>alert(1)</script>"))
    found = queries.receipt(receipt_key("12", "3", "1", "2026-11-23 11:59:58"))
    assert found is not None
    assert (found["gross"], found["net"], found["tax"], found["sold_local"]) == (
        "5.00",
        "4.64",
        "0.36",
        "2026-11-23T11:59:58",
    )
    assert found["received_at"] == "2026-11-23T11:00:00.000Z"
    first = found["lines"][0]
    assert (first["line"], first["category"], first["quantity"], first["unit_price"]) == (1, "Pain", "2", "1.19")
    assert found["settlements"] == [{"mechanism": "CB", "amount": "5.00"}]
    assert "<script>alert(1)</script>" in found["original"]
    assert "Ann" not in found["original"]
    assert "Bob" not in found["original"]


def test_given_a_key_that_there_is_not_when_the_receipt_is_asked_then_there_is_none(queries: Queries) -> None:
    assert queries.receipt("0" * 32) is None
    with pytest.raises(BadQuery):
        queries.receipt("x' OR 1=1")


def test_given_a_change_between_two_queries_when_the_receipt_is_asked_then_its_parts_are_of_one_commit(
    pipeline: Pipeline, queries: Queries, interrupt: Callable[[str, Callable[[], object]], None]
) -> None:
    sell(pipeline, body())
    interrupt("FROM lines", lambda: pipeline.tamper("DELETE FROM lines; DELETE FROM settlements"))
    found = queries.receipt(receipt_key("12", "3", "1", "2026-11-23 11:59:58"))
    assert found is not None
    assert (len(found["lines"]), len(found["settlements"])) == (2, 1)


def test_given_receipts_of_other_days_when_those_that_arrived_are_asked_then_they_are_as_many_as_are_told(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(), *(body(date="2017-11-18 20:39:32", cashReceiptID=str(number)) for number in range(3)))
    sell(pipeline, body(date="2026-11-22 20:39:32", cashReceiptID="late"))
    pipeline.append(body(date="2026-11-21 20:39:32", cashReceiptID="invented"), source="json/http/simulated")
    pipeline.drain()
    arrived = queries.receipts({"arrived": "2026-11-23"})["receipts"]
    assert {each["receipt"] for each in arrived} == {"0", "1", "2", "late"}
    assert len(arrived) == sum(each["receipts"] for each in queries.other_days())
    late = queries.receipts({"arrived": "2026-11-23", "day": "2026-11-22"})["receipts"]
    assert [each["receipt"] for each in late] == ["late"]
    assert queries.receipts({"arrived": "2026-11-22"})["receipts"] == []
    with pytest.raises(BadQuery) as caught:
        queries.receipts({"arrived": "today"})
    assert caught.value.path == "arrived"


def test_given_a_list_of_shops_when_receipts_are_asked_then_they_have_its_names(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(), body(cashReceiptID="2", storeID="13"))
    pipeline.list_shops(Store("12", "Paris Opéra"))
    listed = {row["store"]: row for row in queries.receipts()["receipts"]}
    assert {store: row["store_name"] for store, row in listed.items()} == {"12": "Paris Opéra", "13": "13"}
    for row in listed.values():
        one = queries.receipt(row["key"])
        assert one is not None
        assert one["store_name"] == row["store_name"]
