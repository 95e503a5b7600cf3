"""Receipts: pages, single receipts, and the evidence for anomalies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery
from tillstream.queries.queries import Queries
from tillstream.queries.receipts import ANOMALIES, Evidence
from tillstream.receipt.model import receipt_key
from tillstream.receipt.normalization import Normalization
from tillstream.stores.model import Store
from tillstream.web.i18n import localizer

TODAY = "2026-11-23"


def test_given_filters_when_receipts_are_read_then_only_matching_ones_come(
    pipeline: Pipeline, queries: Queries
) -> None:
    anomalous = receipt_with_total("9.99", cashReceiptID="odd", settlements=[{"settlementAmount": 1}])
    pipeline.append(body(), receipt_with_total("-3.20", cashReceiptID="back", storeID="13"), anomalous)
    pipeline.append(body(cashReceiptID="old", date="2026-11-22 08:30:00"))
    pipeline.drain()

    def numbers(**filters: str) -> set[str]:
        return {
            each.receipt
            for each in queries.receipts({name.rstrip("_"): text for name, text in filters.items()}).receipts
        }

    assert numbers() == {"1", "back", "odd", "old"}
    assert numbers(day="2026-11-22") == {"old"}
    assert numbers(store="13", till="3") == {"back"}
    assert numbers(receipt="1") == {"1"}
    assert numbers(from_="2026-11-23T00:00:00", to="2026-11-23T11:59:58") == set()
    assert numbers(from_="2026-11-22T08:30:00", to="2026-11-23T00:00:00") == {"old"}
    assert numbers(min="5", max="5.00") == {"1", "old"}
    assert numbers(max="-0.01") == {"back"}
    anomalous_receipts = queries.receipts({"anomaly": "any"}).receipts
    assert [each.receipt for each in anomalous_receipts] == ["odd"]
    assert numbers(anomaly=anomalous_receipts[0].anomalies[0]) == {"odd"}
    assert numbers(anomaly="%") == set()


def test_given_a_key_when_the_receipt_is_read_then_it_has_all_parts_without_personal_data(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(agentID="Ann", customerID="Bob", note="<script>alert(1)</script>"))
    found = queries.receipt(receipt_key("12", "3", "1", "2026-11-23 11:59:58"))
    assert found is not None
    assert (found.gross, found.net, found.tax, found.sold_local) == (
        "5.00",
        "4.64",
        "0.36",
        "2026-11-23T11:59:58",
    )
    assert found.received_at == "2026-11-23T11:00:00.000Z"
    first = found.lines[0]
    assert (first.line, first.category, first.quantity, first.unit_price) == (1, "Pain", "2", "1.19")
    assert to_builtins(found.settlements) == [{"mechanism": "CB", "amount": "5.00"}]
    assert found.original is not None
    assert "<script>alert(1)</script>" in found.original
    assert "Ann" not in found.original
    assert "Bob" not in found.original


def test_given_an_unknown_key_when_the_receipt_is_read_then_there_is_none(queries: Queries) -> None:
    assert queries.receipt("0" * 32) is None
    with pytest.raises(BadQuery):
        queries.receipt("x' OR 1=1")


def test_given_a_change_between_two_queries_when_the_receipt_is_read_then_its_parts_are_of_one_commit(
    pipeline: Pipeline, queries: Queries, interrupt: Callable[[str, Callable[[], object]], None]
) -> None:
    process_receipts(pipeline, body())
    interrupt("FROM lines", lambda: pipeline.tamper("DELETE FROM lines; DELETE FROM settlements"))
    found = queries.receipt(receipt_key("12", "3", "1", "2026-11-23 11:59:58"))
    assert found is not None
    assert (len(found.lines), len(found.settlements)) == (2, 1)


def test_given_receipts_of_other_days_when_filtered_by_arrival_then_their_number_is_that_of_the_overview(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(
        pipeline, body(), *(body(date="2017-11-18 20:39:32", cashReceiptID=str(number)) for number in range(3))
    )
    process_receipts(pipeline, body(date="2026-11-22 20:39:32", cashReceiptID="late"))
    pipeline.append(body(date="2026-11-21 20:39:32", cashReceiptID="invented"), source="json/http/simulated")
    pipeline.drain()
    arrived = queries.receipts({"arrived": "2026-11-23"}).receipts
    assert {each.receipt for each in arrived} == {"0", "1", "2", "late"}
    assert len(arrived) == sum(each.receipts for each in queries.overview().other_days)
    late = queries.receipts({"arrived": "2026-11-23", "day": "2026-11-22"}).receipts
    assert [each.receipt for each in late] == ["late"]
    assert queries.receipts({"arrived": "2026-11-22"}).receipts == []
    with pytest.raises(BadQuery) as caught:
        queries.receipts({"arrived": "today"})
    assert caught.value.path == "arrived"


def test_given_a_list_of_shops_when_receipts_are_read_then_they_have_its_names(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(), body(cashReceiptID="2", storeID="13"))
    pipeline.set_shops(Store("12", "Paris Opéra"))
    listed = {row.store: row for row in queries.receipts().receipts}
    assert {store: row.store_name for store, row in listed.items()} == {"12": "Paris Opéra", "13": "13"}
    for row in listed.values():
        one = queries.receipt(row.key)
        assert one is not None
        assert one.store_name == row.store_name


TODAY = "2026-11-23"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, Settings(vat_rates=["5.5", "10", "20"]))
    yield pipeline
    pipeline.close()


@pytest.fixture
def queries(pipeline: Pipeline) -> Queries:
    return queries_of(pipeline)


def line(**changes: Any) -> dict[str, Any]:
    return {"productCode": "A", "quantity": 1, "taxPercentage": 10, "settlementAmount": 5.1, **changes}


def evidence(queries: Queries, kind: str) -> list[Evidence]:
    [receipt] = queries.anomalies({"kind": kind}).receipts
    found = receipt.evidence
    one = queries.receipt(receipt.key)
    assert one is not None
    assert one.evidence == found
    assert [each.anomaly for each in found] == receipt.anomalies
    return found


def totals(gross: object, net: object, tax: object) -> dict[str, object]:
    return {"grossTotal": gross, "netTotal": net, "taxPayable": tax}


@pytest.mark.parametrize(
    ("kind", "changes", "values"),
    [
        (
            "lines_total",
            {"lines": [line()], "documentTotal": totals(5.96, 5.42, 0.54), "settlements": []},
            {"lines": "5.10", "total": "5.96"},
        ),
        ("tax_total", {"documentTotal": totals(5, 4, 0.36)}, {"net": "4.00", "tax": "0.36", "total": "5.00"}),
        ("settlements_short", {"settlements": [{"settlementAmount": 4.04}]}, {"paid": "4.04", "total": "5.00"}),
        (
            "finer_amount",
            {"lines": [line(settlementAmount="5.001", unitPrice=5.0011)], "documentTotal": totals(5, 4.54, 0.46)},
            {"path": "$.lines[0].settlementAmount", "amount": "5.001"},
        ),
        ("clock_ahead", {"date": "2026-11-23 12:47:30"}, {"minutes": 47}),
        (
            "vat_rate",
            {"lines": [line(taxPercentage=5.6, settlementAmount=5), line(settlementAmount=0)]},
            {"rates": "5.6"},
        ),
    ],
)
def test_given_an_anomaly_when_read_then_its_evidence_has_the_figures_that_do_not_match(
    pipeline: Pipeline, queries: Queries, kind: str, changes: dict[str, Any], values: dict[str, Any]
) -> None:
    process_receipts(pipeline, body(cashReceiptID="odd", **changes), body(cashReceiptID="fine"))
    assert {each.anomaly: each.values for each in evidence(queries, kind)} == {kind: values}
    assert [each.receipt for each in queries.anomalies().receipts] == ["odd"]


def test_given_a_clock_a_day_ahead_when_read_then_the_evidence_has_the_hours(
    pipeline: Pipeline, queries: Queries
) -> None:
    pipeline.append(body(date="2026-11-25 12:00:00"), notes="clock_ahead_a_day", day=TODAY)
    pipeline.drain()
    found = {each.anomaly: each.values for each in evidence(queries, "clock_ahead_a_day")}
    assert to_builtins(found) == {"clock_ahead_a_day": {"hours": 48}, "clock_ahead": {"minutes": 48 * 60}}


def test_given_anomalies_when_counted_then_a_receipt_counts_once_for_each_kind(
    pipeline: Pipeline, queries: Queries
) -> None:
    anomalous = body(cashReceiptID="1", documentTotal=totals(9, 8, 1), settlements=[{"settlementAmount": 1}])
    process_receipts(
        pipeline, anomalous, body(cashReceiptID="2", settlements=[{"settlementAmount": 1}]), body(cashReceiptID="3")
    )
    counts = queries.anomaly_counts(TODAY)
    assert (counts.day, counts.receipts) == (TODAY, 2)
    assert to_builtins({each.anomaly: each.receipts for each in counts.anomalies}) == {
        **dict.fromkeys(ANOMALIES, 0),
        "settlements_short": 2,
        "lines_total": 1,
    }
    assert to_builtins(counts.anomalies[0]) == {"anomaly": "settlements_short", "receipts": 2}
    assert queries.anomaly_counts().receipts == 2
    assert queries.anomaly_counts("2026-11-22").receipts == 0


def test_given_many_anomalous_receipts_when_read_then_pages_and_filters_apply(
    pipeline: Pipeline, queries: Queries
) -> None:
    for number in range(3):
        process_receipts(
            pipeline, body(cashReceiptID=str(number), storeID=str(number), settlements=[{"settlementAmount": 1}])
        )
        pipeline.clock.advance(1)
    page = queries.anomalies({"limit": "2"})
    rest = queries.anomalies({"limit": "2", "cursor": page.next or ""})
    assert [each.receipt for each in page.receipts + rest.receipts] == ["2", "1", "0"]
    assert [each.receipt for each in queries.anomalies({"store": "1", "day": TODAY}).receipts] == ["1"]


def test_given_an_unknown_kind_when_read_then_it_is_refused(queries: Queries) -> None:
    with pytest.raises(BadQuery, match="there is no anomaly 'nonsense'; there are lines_total"):
        queries.anomalies({"kind": "nonsense"})


def test_every_anomaly_of_the_engine_has_evidence_and_a_text() -> None:
    names = set(re.findall(r"THEN '(\w+)' END", Normalization(2, ("5.5",))._anomalies()))
    assert names == set(ANOMALIES)
    assert {f"evidence_{name}" for name in names} <= localizer("en").messages.keys()
