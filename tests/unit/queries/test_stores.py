"""Shops of the list and shops that only sell, and the names of both."""

from __future__ import annotations

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell
from tests.support.receipts import body
from tillstream.queries.queries import Queries
from tillstream.queries.stores import STORE_COLUMNS, named
from tillstream.stores.model import Store, StoreList
from tillstream.stores.opening_hours import parse

OPERA = Store("12", "Paris Opéra", "Paris", "Île-de-France", "", 3, parse("Mo-Sa 07:00-19:30; Su 07:00-13:00"))


def test_given_rows_when_they_are_named_then_the_name_stands_behind_the_id() -> None:
    rows = [{"day": 1, "store": "12", "till": "1"}, {"day": 1, "store": "13", "till": "1"}]
    assert [list(row.items()) for row in named(rows, StoreList({"12": OPERA}))] == [
        [("day", 1), ("store", "12"), ("store_name", "Paris Opéra"), ("till", "1")],
        [("day", 1), ("store", "13"), ("store_name", "13"), ("till", "1")],
    ]


def test_given_a_list_and_sales_when_shops_are_asked_then_those_without_a_name_follow(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(), body(cashReceiptID="2", storeID="13", date="2017-11-18 20:39:32"), body(storeID="11"))
    assert [(row["id"], row["name"], row["listed"]) for row in queries.stores()] == [
        ("11", "11", False),
        ("12", "12", False),
        ("13", "13", False),
    ]
    pipeline.list_shops(Store("99", zone="Indian/Reunion"), OPERA)
    rows = queries.stores()
    assert [row["id"] for row in rows] == ["99", "12", "11", "13"]
    assert all(tuple(row) == STORE_COLUMNS for row in rows)
    assert rows[0] == {
        "id": "99", "name": "99", "city": "", "region": "", "zone": "Indian/Reunion", "tills": 0, "hours": "",
        "listed": True,
    }  # fmt: skip
    assert rows[1] == {
        "id": "12", "name": "Paris Opéra", "city": "Paris", "region": "Île-de-France", "zone": "", "tills": 3,
        "hours": "Mo-Sa 07:00-19:30; Su 07:00-13:00", "listed": True,
    }  # fmt: skip
