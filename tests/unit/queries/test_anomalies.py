"""Every anomaly comes with the figures that show it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery
from tillstream.queries.anomalies import ANOMALIES
from tillstream.queries.queries import Queries
from tillstream.receipt.normalization import Normalization
from tillstream.web.pages.i18n import words

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


def evidence(queries: Queries, kind: str) -> list[dict[str, Any]]:
    [receipt] = queries.anomalies({"kind": kind})["receipts"]
    found: list[dict[str, Any]] = receipt["evidence"]
    one = queries.receipt(receipt["key"])
    assert one is not None
    assert one["evidence"] == found
    assert [each["anomaly"] for each in found] == receipt["anomalies"]
    return found


def total(gross: object, net: object, tax: object) -> dict[str, object]:
    return {"grossTotal": gross, "netTotal": net, "taxPayable": tax}


@pytest.mark.parametrize(
    ("kind", "changes", "values"),
    [
        (
            "lines_total",
            {"lines": [line()], "documentTotal": total(5.96, 5.42, 0.54), "settlements": []},
            {"lines": "5.10", "total": "5.96"},
        ),
        ("tax_total", {"documentTotal": total(5, 4, 0.36)}, {"net": "4.00", "tax": "0.36", "total": "5.00"}),
        ("settlements_short", {"settlements": [{"settlementAmount": 4.04}]}, {"paid": "4.04", "total": "5.00"}),
        (
            "finer_amount",
            {"lines": [line(settlementAmount="5.001", unitPrice=5.0011)], "documentTotal": total(5, 4.54, 0.46)},
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
def test_given_an_anomaly_then_its_evidence_is_the_figures_that_do_not_fit(
    pipeline: Pipeline, queries: Queries, kind: str, changes: dict[str, Any], values: dict[str, Any]
) -> None:
    sell(pipeline, body(cashReceiptID="odd", **changes), body(cashReceiptID="fine"))
    assert {each["anomaly"]: each["values"] for each in evidence(queries, kind)} == {kind: values}
    assert [each["receipt"] for each in queries.anomalies()["receipts"]] == ["odd"]


def test_given_a_clock_a_day_ahead_then_the_hours_are_told(pipeline: Pipeline, queries: Queries) -> None:
    pipeline.append(body(date="2026-11-25 12:00:00"), notes="clock_ahead_a_day", day=TODAY)
    pipeline.drain()
    found = {each["anomaly"]: each["values"] for each in evidence(queries, "clock_ahead_a_day")}
    assert found == {"clock_ahead_a_day": {"hours": 48}, "clock_ahead": {"minutes": 48 * 60}}


def test_given_anomalies_then_they_are_counted_by_kind_and_a_receipt_once(pipeline: Pipeline, queries: Queries) -> None:
    odd = body(cashReceiptID="1", documentTotal=total(9, 8, 1), settlements=[{"settlementAmount": 1}])
    sell(pipeline, odd, body(cashReceiptID="2", settlements=[{"settlementAmount": 1}]), body(cashReceiptID="3"))
    counts = queries.anomaly_counts(TODAY)
    assert (counts["day"], counts["receipts"]) == (TODAY, 2)
    assert {each["anomaly"]: each["receipts"] for each in counts["anomalies"]} == {
        **dict.fromkeys(ANOMALIES, 0),
        "settlements_short": 2,
        "lines_total": 1,
    }
    assert counts["anomalies"][0] == {"anomaly": "settlements_short", "receipts": 2}
    assert queries.anomaly_counts()["receipts"] == 2
    assert queries.anomaly_counts("2026-11-22")["receipts"] == 0


def test_given_many_then_they_come_page_by_page_and_by_the_other_filters(pipeline: Pipeline, queries: Queries) -> None:
    for number in range(3):
        sell(pipeline, body(cashReceiptID=str(number), storeID=str(number), settlements=[{"settlementAmount": 1}]))
        pipeline.clock.advance(1)
    page = queries.anomalies({"limit": "2"})
    rest = queries.anomalies({"limit": "2", "cursor": page["next"]})
    assert [each["receipt"] for each in page["receipts"] + rest["receipts"]] == ["2", "1", "0"]
    assert [each["receipt"] for each in queries.anomalies({"store": "1", "day": TODAY})["receipts"]] == ["1"]


def test_given_a_kind_that_there_is_not_then_it_is_refused(queries: Queries) -> None:
    with pytest.raises(BadQuery, match="there is no anomaly 'nonsense'; there are lines_total"):
        queries.anomalies({"kind": "nonsense"})


def test_every_anomaly_of_the_engine_has_evidence_and_words() -> None:
    names = set(re.findall(r"THEN '(\w+)' END", Normalization(2, ("5.5",))._anomalies()))
    assert names == set(ANOMALIES)
    assert {f"evidence_{name}" for name in names} <= words("en").keys()
