"""Readers' questions over the real log, engine and store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.support.dashboard import views_of
from tests.support.pipeline import NOON_US, Pipeline, body
from tillstream.errors import BadQuery, UnknownMetric
from tillstream.receipt import receipt_key
from tillstream.settings import Settings
from tillstream.views import Views

TODAY = "2026-11-23"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


@pytest.fixture
def views(pipeline: Pipeline) -> Views:
    return views_of(pipeline)


def sell(pipeline: Pipeline, *receipts: dict[str, Any]) -> None:
    pipeline.append(*receipts)
    pipeline.drain()


def total(amount: float | str, **changes: Any) -> dict[str, Any]:
    return body(**{"documentTotal": {"grossTotal": amount}, "lines": [], "settlements": [], **changes})


def test_given_nothing_when_the_summary_is_asked_then_it_is_all_zeros_and_nulls(views: Views) -> None:
    summary = views.summary()
    assert summary["day"] == TODAY
    assert (summary["revenue"], summary["net"], summary["tax"]) == ("0.00", "0.00", "0.00")
    assert (summary["receipts"], summary["receipts_per_minute"]) == (0, 0)
    assert summary["average_ticket"] is None
    assert summary["ingest_delay_ms"] == {"p50": None, "p99": None}
    assert summary["as_of"] == "2026-11-23T11:00:00.000Z"


def test_given_receipts_when_the_summary_is_asked_then_it_tells_the_day_to_the_cent(
    pipeline: Pipeline, views: Views
) -> None:
    sell(pipeline, body(), body(cashReceiptID="2", storeID="13"), body(cashReceiptID="3", terminalID="4"))
    summary = views.summary()
    assert summary["currency"] == "EUR"
    assert (summary["revenue"], summary["net"], summary["tax"]) == ("15.00", "13.92", "1.08")
    assert (summary["receipts"], summary["items"], summary["average_ticket"]) == (3, 9, "5.00")
    assert (summary["stores_active"], summary["tills_active"], summary["receipts_per_minute"]) == (2, 3, 3)
    assert summary["till_delay_s"]["p50"] == pytest.approx(2.048, abs=0.5)
    assert summary["ingest_delay_ms"]["p99"] == 1.0


@pytest.mark.parametrize(("amounts", "average"), [(("0.01", "0.02"), "0.02"), (("-0.01", "-0.02"), "-0.02")])
def test_given_an_average_of_half_a_cent_when_the_summary_is_asked_then_it_is_rounded_half_up(
    pipeline: Pipeline, views: Views, amounts: tuple[str, str], average: str
) -> None:
    sell(pipeline, *(total(amount, cashReceiptID=amount) for amount in amounts))
    assert views.summary()["average_ticket"] == average


def test_given_a_currency_without_decimals_when_asked_then_money_has_none(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(currency="JPY"))
    sell(pipeline, total(1200))
    assert views_of(pipeline).summary()["revenue"] == "1200"
    pipeline.close()


def test_given_the_minute_has_passed_when_the_summary_is_asked_then_no_receipt_counts_for_it(
    pipeline: Pipeline, views: Views
) -> None:
    sell(pipeline, body())
    pipeline.clock.advance(59)
    assert views.summary()["receipts_per_minute"] == 1
    pipeline.clock.advance(1)
    assert views.summary()["receipts_per_minute"] == 0


def test_given_another_day_when_the_summary_is_asked_then_it_is_that_day_without_a_pace(
    pipeline: Pipeline, views: Views
) -> None:
    sell(pipeline, body(date="2017-11-18 20:39:32"))
    past = views.summary("2017-11-18")
    assert (past["receipts"], past["receipts_per_minute"]) == (1, None)
    assert views.summary(date(2017, 11, 18))["revenue"] == "5.00"
    assert views.summary()["receipts"] == 0


def test_given_repeats_conflicts_and_refusals_when_the_summary_is_asked_then_each_is_counted(
    pipeline: Pipeline, views: Views
) -> None:
    sell(pipeline, body())
    sell(pipeline, body())
    sell(pipeline, total(9.99))
    pipeline.refuse(b"{", [{"path": "$", "error": "broken off", "hint": ""}])
    pipeline.drain()
    summary = views.summary()
    assert (summary["receipts"], summary["revenue"]) == (1, "5.00")
    assert (summary["duplicates"], summary["conflicts"], summary["quarantined"]) == (1, 1, 1)


def test_given_a_day_that_begins_at_four_when_it_is_two_then_it_is_still_yesterday(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(day_start="04:00"))
    pipeline.clock.advance(14 * 3600)
    views = views_of(pipeline)
    assert views.today() == date(2026, 11, 23)
    assert views.local_now().isoformat() == "2026-11-24T02:00:00"
    assert views.snapshot()["minutes"]["start"] == "2026-11-23T04:00"
    pipeline.close()


def test_given_every_metric_when_asked_then_rows_have_its_columns_and_money_is_text(
    pipeline: Pipeline, views: Views
) -> None:
    sell(pipeline, body())
    for described in views.catalogue():
        answer = views.metric(described["name"])
        assert answer["columns"] == [*described["keys"], *(measure["name"] for measure in described["measures"])]
        assert answer["rows"], described["name"]
        for row in answer["rows"]:
            assert list(row) == answer["columns"]
            assert row["day"] == TODAY
            for measure in described["measures"]:
                assert isinstance(row[measure["name"]], {"money": str, "count": int, "text": str}[measure["kind"]])


def test_given_key_filters_when_a_metric_is_asked_then_only_those_rows_come(pipeline: Pipeline, views: Views) -> None:
    sell(pipeline, body(), body(cashReceiptID="2", storeID="13", date="2026-11-23 10:00:00"))
    rows = views.metric("sales_by_store_and_hour", {"store": "13", "hour": "10"})["rows"]
    assert rows == [{"day": TODAY, "store": "13", "hour": 10, "revenue": "5.00", "receipts": 1}]
    minute = views.metric("sales_by_minute", {"minute": "2026-11-23T10:00"})["rows"]
    assert [row["minute"] for row in minute] == ["2026-11-23T10:00:00"]
    assert views.metric("sales", {"day": "2026-11-22"})["rows"] == []


def test_given_a_metric_or_key_that_there_is_not_when_asked_then_it_is_refused(views: Views) -> None:
    with pytest.raises(UnknownMetric, match="sales_by_store"):
        views.metric("nope")
    with pytest.raises(BadQuery, match="filter by day, store"):
        views.metric("sales_by_store", {"category": "Pain"})


def test_given_many_receipts_when_read_page_by_page_then_each_comes_once_the_newest_first(
    pipeline: Pipeline, views: Views
) -> None:
    for number in range(1, 8):
        pipeline.append(body(cashReceiptID=str(number)), body(cashReceiptID=str(number), terminalID="9"))
        pipeline.clock.advance(number % 2)
    pipeline.drain()
    seen: list[str] = []
    page = views.receipts({"limit": "4"})
    while True:
        seen += [f"{each['receipt']}/{each['till']}" for each in page["receipts"]]
        if page["next"] is None:
            break
        page = views.receipts({"limit": "4", "cursor": page["next"]})
    assert seen == [f"{number}/{till}" for number in range(7, 0, -1) for till in ("9", "3")]


def test_given_filters_when_receipts_are_asked_then_only_those_come(pipeline: Pipeline, views: Views) -> None:
    odd = total("9.99", cashReceiptID="odd", settlements=[{"settlementAmount": 1}])
    pipeline.append(body(), total("-3.20", cashReceiptID="back", storeID="13"), odd)
    pipeline.append(body(cashReceiptID="old", date="2026-11-22 08:30:00"))
    pipeline.drain()

    def numbers(**filters: str) -> set[str]:
        return {
            each["receipt"]
            for each in views.receipts({name.rstrip("_"): text for name, text in filters.items()})["receipts"]
        }

    assert numbers() == {"1", "back", "odd", "old"}
    assert numbers(day="2026-11-22") == {"old"}
    assert numbers(store="13", till="3") == {"back"}
    assert numbers(receipt="1") == {"1"}
    assert numbers(from_="2026-11-23T00:00:00", to="2026-11-23T11:59:58") == set()
    assert numbers(from_="2026-11-22T08:30:00", to="2026-11-23T00:00:00") == {"old"}
    assert numbers(min="5", max="5.00") == {"1", "old"}
    assert numbers(max="-0.01") == {"back"}
    odd_ones = views.receipts({"anomaly": "any"})["receipts"]
    assert [each["receipt"] for each in odd_ones] == ["odd"]
    assert numbers(anomaly=odd_ones[0]["anomalies"][0]) == {"odd"}
    assert numbers(anomaly="%") == set()


def test_given_a_key_when_the_receipt_is_asked_then_all_of_it_comes_without_the_persons(
    pipeline: Pipeline, views: Views
) -> None:
    sell(pipeline, body(agentID="Ann", customerID="Bob", note="<script>alert(1)</script>"))
    found = views.receipt(receipt_key("12", "3", "1", "2026-11-23 11:59:58"))
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


def test_given_a_key_that_there_is_not_when_the_receipt_is_asked_then_there_is_none(views: Views) -> None:
    assert views.receipt("0" * 32) is None
    with pytest.raises(BadQuery):
        views.receipt("x' OR 1=1")


def test_given_refusals_and_conflicts_when_quarantine_is_asked_then_they_come_with_reasons(
    pipeline: Pipeline, views: Views
) -> None:
    reasons = [{"path": "$.storeID", "error": "is missing", "hint": "name the store"}]
    sell(pipeline, body())
    sell(pipeline, total("1"))
    pipeline.clock.advance(1)
    pipeline.refuse(b'{"customerID": "Bob", "storeID": null}', reasons)
    pipeline.drain()
    entries = views.quarantine()["entries"]
    assert [entry["kind"] for entry in entries] == ["refused", "conflict"]
    assert entries[0]["reasons"] == reasons
    assert [entry["kind"] for entry in views.quarantine({"kind": "conflict", "day": TODAY})["entries"]] == ["conflict"]
    page = views.quarantine({"limit": "1"})
    rest = views.quarantine({"limit": "1", "cursor": page["next"]})
    assert [page["entries"][0], rest["entries"][0]] == entries
    entry = views.quarantined(entries[0]["id"])
    assert entry is not None
    assert entry["original"] == '{"customerID": "•••", "storeID": null}'


@pytest.mark.parametrize("entry", ["x", "-1", "٣", str(2**63), "9" * 30])
def test_given_what_is_no_id_when_an_entry_is_asked_then_it_is_refused(views: Views, entry: str) -> None:
    with pytest.raises(BadQuery):
        views.quarantined(entry)


def test_given_an_id_that_there_is_not_when_an_entry_is_asked_then_there_is_none(views: Views) -> None:
    assert views.quarantined(str(2**63 - 1)) is None


def test_given_receipts_of_other_days_when_asked_then_those_received_today_are_counted(
    pipeline: Pipeline, views: Views
) -> None:
    sell(pipeline, body(), *(body(date="2017-11-18 20:39:32", cashReceiptID=str(n)) for n in range(3)))
    sell(pipeline, body(date="2026-11-22 20:39:32"))
    pipeline.append(body(date="2026-11-21 20:39:32"), source="json/http/simulated")
    pipeline.drain()
    assert views.other_days() == [{"day": "2026-11-22", "receipts": 1}, {"day": "2017-11-18", "receipts": 3}]
    pipeline.clock.advance(12 * 3600)
    assert views.other_days() == []


def test_given_receipts_when_a_snapshot_is_asked_then_its_parts_agree(pipeline: Pipeline, views: Views) -> None:
    sell(pipeline, body(), body(cashReceiptID="2", date="2026-11-23 08:15:00"), total("1.00", cashReceiptID="3"))
    snapshot = views.snapshot()
    assert snapshot["live"] is True
    assert snapshot["summary"] == views.summary()
    assert snapshot["minutes"] == {
        "start": "2026-11-23T00:00",
        "now": 720,
        "offset": [495, 719],
        "revenue": ["5.00", "6.00"],
        "receipts": [1, 2],
    }
    assert [(row["category"], row["revenue"]) for row in snapshot["categories"]] == [
        ("Pain", "5.00"),
        ("Sandwich Froid", "5.00"),
        ("(unallocated)", "1.00"),
    ]
    assert (snapshot["lag"], snapshot["age_ms"]) == (0, 0)


def test_given_a_past_day_when_a_snapshot_is_asked_then_it_is_not_live(pipeline: Pipeline, views: Views) -> None:
    sell(pipeline, body(date="2017-11-18 20:39:32"))
    snapshot = views.snapshot("2017-11-18")
    assert (snapshot["live"], snapshot["summary"]["receipts"], snapshot["other_days"]) == (False, 1, [])
    assert (snapshot["minutes"]["offset"], snapshot["minutes"]["now"]) == ([1239], None)


def test_given_the_engine_stands_still_when_a_snapshot_is_asked_then_its_age_grows(
    pipeline: Pipeline, views: Views
) -> None:
    sell(pipeline, body())
    pipeline.append(body(cashReceiptID="2"))
    pipeline.clock.advance(7)
    snapshot = views.snapshot()
    assert (snapshot["lag"], snapshot["age_ms"]) == (1, 7_000)
    assert views.lag() == 1


def test_given_a_commit_between_two_queries_when_a_snapshot_is_asked_then_it_is_of_one_commit(
    pipeline: Pipeline, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(pipeline, body())
    pipeline.append(body(cashReceiptID="2"))
    query = pipeline.store.query

    def commit_in_between(sql: str, parameters: Any = ()) -> Any:
        if "metric_sales_by_minute" in sql:
            pipeline.drain()
        return query(sql, parameters)

    monkeypatch.setattr(pipeline.store, "query", commit_in_between)
    snapshot = views.snapshot()
    assert snapshot["summary"]["receipts"] == sum(snapshot["minutes"]["receipts"]) == 2


def test_given_no_faults_when_asked_then_there_are_none(views: Views) -> None:
    assert views.faults() == []


def test_given_a_clock_when_it_is_read_then_noon_is_noon_in_paris(views: Views) -> None:
    assert views.local_now().isoformat() == "2026-11-23T12:00:00"
    assert NOON_US % 1_000_000 == 0
