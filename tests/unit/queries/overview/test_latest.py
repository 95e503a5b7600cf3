"""The receipts that came last, in a few words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell, total
from tests.support.receipts import body
from tillstream.log.base import PARTITION_SHIFT
from tillstream.queries.overview.latest import LATEST, sentence, words
from tillstream.queries.queries import Queries


def test_given_receipts_when_asked_then_the_last_to_come_is_the_first(pipeline: Pipeline, queries: Queries) -> None:
    for number in range(LATEST + 2):
        pipeline.clock.advance(1)
        sell(
            pipeline, body(cashReceiptID=str(number), date="2026-11-23 11:00:00", documentTotal={"grossTotal": number})
        )
    latest = queries.overview()["latest"]
    assert [row["gross"] for row in latest] == [f"{number}.00" for number in range(LATEST + 1, 1, -1)]
    receipt = queries.receipt(latest[0]["key"])
    assert receipt is not None
    assert (latest[0]["sold"], latest[0]["store"], latest[0]["title"], latest[0]["till"]) == (
        receipt["sold_local"], "12", "12", "3",
    )  # fmt: skip
    assert (latest[0]["what"], latest[0]["anomalous"]) == ("Baguette tradition ×2, Sandwich jambon", True)


def test_given_a_product_when_asked_then_only_receipts_that_have_it_come(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body(), total(3, cashReceiptID="2"))
    assert [row["gross"] for row in queries.overview({"product": "BAG"})["latest"]] == ["5.00"]
    assert [row["what"] for row in queries.overview()["latest"]] == ["", "Baguette tradition ×2, Sandwich jambon"]


def test_given_several_partitions_when_a_product_is_asked_then_the_last_to_come_is_the_first_all_the_same(
    pipeline: Pipeline, queries: Queries
) -> None:
    for number in range(LATEST + 2):
        pipeline.clock.advance(1)
        sell(pipeline, body(cashReceiptID=str(number)))
    # All but the last one came over a partition whose places are greater.
    early = f"SELECT place FROM receipts WHERE receipt <> '{LATEST + 1}'"
    for table in ("lines", "receipts"):
        pipeline.database._connection.execute(  # type: ignore[attr-defined]
            f"UPDATE {table} SET place = place + {1 << PARTITION_SHIFT} WHERE place IN ({early})"
        )
    told = queries.overview({"product": "BAG"})["latest"]
    keys = [row["key"] for row in told]
    assert [queries.receipt(key)["receipt"] for key in keys] == [str(number) for number in range(LATEST + 1, 1, -1)]  # type: ignore[index]


@pytest.mark.parametrize(
    ("description", "quantity", "told"),
    [
        ("Croissant", "1", "Croissant"),
        ("Croissant", "2.000000", "Croissant ×2"),
        ("Flan", "-1", "Flan ×-1"),
        ("Tomates", "0.350000", "Tomates ×0.35"),
        ("x" * 41, "1", "x" * 39 + "…"),
        ("x" * 40, "1", "x" * 40),
    ],
)
def test_given_a_line_when_told_then_it_is_short(description: str, quantity: str, told: str) -> None:
    assert words(description, Decimal(quantity)) == told


def test_given_many_lines_when_told_then_the_others_are_counted() -> None:
    assert sentence(["a", "b", "c"]) == "a, b, c"
    assert sentence(["a", "b", "c", "d", "e"]) == "a, b, c +2"
