"""A day's figures, to the cent."""

from __future__ import annotations

from datetime import date

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell, total
from tests.support.receipts import body
from tillstream.queries.queries import Queries

TODAY = "2026-11-23"


def test_given_nothing_when_the_summary_is_asked_then_it_is_all_zeros_and_nulls(queries: Queries) -> None:
    summary = queries.summary()
    assert summary["day"] == TODAY
    assert (summary["revenue"], summary["net"], summary["tax"]) == ("0.00", "0.00", "0.00")
    assert (summary["receipts"], summary["receipts_per_minute"]) == (0, 0)
    assert summary["average_ticket"] is None
    assert summary["ingest_delay_ms"] == {"p50": None, "p99": None}
    assert summary["as_of"] == "2026-11-23T11:00:00.000Z"


def test_given_receipts_when_the_summary_is_asked_then_it_tells_the_day_to_the_cent(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(), body(cashReceiptID="2", storeID="13"), body(cashReceiptID="3", terminalID="4"))
    summary = queries.summary()
    assert summary["currency"] == "EUR"
    assert (summary["revenue"], summary["net"], summary["tax"]) == ("15.00", "13.92", "1.08")
    assert (summary["receipts"], summary["items"], summary["average_ticket"]) == (3, 9, "5.00")
    assert (summary["stores_active"], summary["tills_active"], summary["receipts_per_minute"]) == (2, 3, 3)
    assert summary["till_delay_s"]["p50"] == pytest.approx(2.048, abs=0.5)
    assert summary["ingest_delay_ms"]["p99"] == 1.0


@pytest.mark.parametrize(("amounts", "average"), [(("0.01", "0.02"), "0.02"), (("-0.01", "-0.02"), "-0.02")])
def test_given_an_average_of_half_a_cent_when_the_summary_is_asked_then_it_is_rounded_half_up(
    pipeline: Pipeline, queries: Queries, amounts: tuple[str, str], average: str
) -> None:
    sell(pipeline, *(total(amount, cashReceiptID=amount) for amount in amounts))
    assert queries.summary()["average_ticket"] == average


def test_given_the_minute_has_passed_when_the_summary_is_asked_then_no_receipt_counts_for_it(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body())
    pipeline.clock.advance(59)
    assert queries.summary()["receipts_per_minute"] == 1
    pipeline.clock.advance(1)
    assert queries.summary()["receipts_per_minute"] == 0


def test_given_another_day_when_the_summary_is_asked_then_it_is_that_day_without_a_pace(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(date="2017-11-18 20:39:32"))
    past = queries.summary("2017-11-18")
    assert (past["receipts"], past["receipts_per_minute"]) == (1, None)
    assert queries.summary(date(2017, 11, 18))["revenue"] == "5.00"
    assert queries.summary()["receipts"] == 0


def test_given_repeats_conflicts_and_refusals_when_the_summary_is_asked_then_each_is_counted(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body())
    sell(pipeline, body())
    sell(pipeline, total(9.99))
    pipeline.refuse(b"{", [{"path": "$", "error": "broken off", "hint": ""}])
    pipeline.drain()
    summary = queries.summary()
    assert (summary["receipts"], summary["revenue"]) == (1, "5.00")
    assert (summary["duplicates"], summary["conflicts"], summary["quarantined"]) == (1, 1, 1)
