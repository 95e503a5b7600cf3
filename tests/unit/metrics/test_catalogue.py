"""Declaring metrics: one entry is all it takes, and a wrong one says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.errors import CatalogueError
from tillstream.metrics.catalogue import BUILT_IN, DERIVED, Measure, catalogue, declare


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def test_one_entry_gives_a_metric_its_table_its_figures_and_its_api(tmp_path: Path) -> None:
    own = [
        {
            "name": "sales_by_till_and_hour",
            "help": "Sales of each till and hour",
            "source": "receipts",
            "keys": ["day", "store", "till", "hour"],
            "measures": ["revenue", "receipts", {"name": "largest", "fold": "max", "column": "gross"}],
        }
    ]
    pipeline = Pipeline(tmp_path, metrics=catalogue(own))
    pipeline.append(body(), body(cashReceiptID="2"))
    pipeline.drain()
    [row] = pipeline.rows("sales_by_till_and_hour")
    assert (row["store"], row["till"], row["hour"], str(row["revenue"])) == ("12", "3", 11, "10.00")
    assert pipeline.verify("sales_by_till_and_hour") == []
    pipeline.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Sales!"}, "lower-case identifier"),
        ({"source": "tills"}, "there is no source 'tills'"),
        ({"keys": []}, "must begin with `day`"),
        ({"keys": ["store", "day"]}, "must begin with `day`"),
        ({"keys": ["day", "category"]}, "receipts have no key 'category'"),
        ({"measures": []}, "no measures"),
        ({"measures": ["profit"]}, "receipts have no measure 'profit'"),
        ({"measures": [{"name": "x", "fold": "median", "column": "gross"}]}, "no fold 'median'"),
        ({"measures": [{"name": "x", "fold": "max", "column": "key"}]}, "max cannot fold 'key'"),
        ({"measures": [{"name": "x", "fold": "sum"}]}, "sum cannot fold ''"),
        ({"measures": [{"name": "x", "fold": "sum", "column": "sold_local"}]}, "sum cannot fold 'sold_local'"),
        ({"measures": [{"name": "x; drop", "fold": "count"}]}, "not understood"),
        ({"measures": ["revenue", "revenue"]}, "two of its columns have one name"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(changes: dict[str, Any], reason: str) -> None:
    declaration = {"name": "own", "help": "", "source": "receipts", "keys": ["day"], "measures": ["revenue"]}
    with pytest.raises(CatalogueError) as caught:
        declare(**{**declaration, **changes})
    assert reason in str(caught.value)


def test_a_name_that_is_taken_is_refused() -> None:
    own = {"name": "sales", "source": "receipts", "keys": ["day"], "measures": ["revenue"]}
    with pytest.raises(CatalogueError, match="a metric of that name already"):
        catalogue([own])


def test_an_unknown_part_of_a_declaration_is_refused() -> None:
    with pytest.raises(CatalogueError, match="unexpected keyword argument 'wherever'"):
        catalogue([{"name": "own", "source": "receipts", "keys": ["day"], "measures": ["revenue"], "wherever": 1}])


def test_counts_merge_by_sum() -> None:
    assert Measure("receipts", "count").merge == "sum"
    assert Measure("largest", "max", "gross").merge == "max"


def test_a_digest_changes_with_the_figures_and_not_with_the_help() -> None:
    first = declare("own", "a", "receipts", ["day"], ["revenue"])
    assert first.digest == declare("own", "b", "receipts", ["day"], ["revenue"]).digest
    assert first.digest != declare("own", "a", "receipts", ["day"], ["net"]).digest


def test_a_digest_changes_with_what_a_derived_column_means(monkeypatch: pytest.MonkeyPatch) -> None:
    refunds = declare("own", "", "receipts", ["day"], ["refunds"])
    before, sales = refunds.digest, declare("own", "", "receipts", ["day"], ["revenue"]).digest
    monkeypatch.setitem(DERIVED, "refund", "CASE WHEN gross < -1 THEN gross ELSE 0 END")
    assert refunds.digest != before
    assert declare("own", "", "receipts", ["day"], ["revenue"]).digest == sales


def test_refunds_are_the_receipts_below_zero_and_times_are_the_till_s_own(pipeline: Pipeline) -> None:
    pipeline.append(
        body(),
        body(cashReceiptID="2", date="2026-11-23 09:30:01", documentTotal={"grossTotal": -2.5}),
        body(cashReceiptID="3", date="2026-11-23 10:00:00", documentTotal={"grossTotal": 0}),
    )
    pipeline.drain()
    [row] = pipeline.rows("sales_by_store")
    assert (str(row["refunds"]), row["refund_count"], str(row["revenue"])) == ("-2.50", 1, "2.50")
    assert (row["first"], row["last"]) == (datetime(2026, 11, 23, 9, 30, 1), datetime(2026, 11, 23, 11, 59, 58))
    pipeline.append(body(cashReceiptID="4", date="2026-11-23 08:00:00", documentTotal={"grossTotal": "-0.01"}))
    pipeline.drain()
    [row] = pipeline.rows("sales_by_store")
    assert (str(row["refunds"]), row["refund_count"], row["first"].hour) == ("-2.51", 2, 8)
    assert pipeline.verify("sales_by_store") == []


def test_every_built_in_metric_has_a_help() -> None:
    assert all(metric.help for metric in BUILT_IN)
