"""The day's running sums in the shapes of the seed's exchanges, to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell
from tests.support.receipts import body
from tillstream.queries.queries import Queries


def test_given_nothing_when_asked_then_all_shapes_are_there_with_zeros(queries: Queries) -> None:
    assert queries.ticker() == {
        "count": {"sum": Decimal("0.00"), "count": 0},
        "categories": {},
        "metrics-db": {"connectionDelay": 0.0, "networkDelay": 0.0},
        "metrics-storm": {"averagePerMinute": 0, "averageMsCreation": 0.0, "averageMsSystem": 0.0},
    }


def test_given_receipts_when_asked_then_the_sums_are_those_of_today(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body(), body(cashReceiptID="2"), body(cashReceiptID="3", date="2017-11-18 10:00:00"))
    found = queries.ticker()
    assert found["count"] == {"sum": Decimal("10.00"), "count": 2}
    assert sum(found["categories"].values()) == Decimal("10.00")
    assert found["metrics-storm"]["averagePerMinute"] == 2
    delays = found["metrics-db"]
    assert delays["networkDelay"] == pytest.approx(2.0, rel=0.2)
    assert found["metrics-storm"]["averageMsCreation"] == pytest.approx(delays["networkDelay"] * 1_000, abs=1)
    assert found["metrics-storm"]["averageMsSystem"] == pytest.approx(delays["connectionDelay"] * 1_000, abs=1)
