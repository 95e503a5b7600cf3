"""Panels of the overview as CSV rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts
from tests.support.receipts import body
from tillstream.web.api.tables import PANELS


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    process_receipts(pipeline, body(), body(date="2026-11-16 10:00:00"))
    yield pipeline
    pipeline.close()


def rows(pipeline: Pipeline, panel: str, **query: str) -> list[Mapping[str, Any]]:
    columns, made = PANELS[panel]
    found = list(made(queries_of(pipeline).overview(query)))
    assert all(set(columns) <= set(row) for row in found)
    return found


def test_given_tiles_when_converted_to_rows_then_each_figure_has_a_row(pipeline: Pipeline) -> None:
    found = {row["tile"]: row for row in rows(pipeline, "tiles")}
    assert found["revenue"] == {"tile": "revenue", "value": "5.00", "before": "5.00", "change": "0.0"}
    assert (found["refunds_count"]["value"], found["shops_known"]["value"]) == (0, 1)
    assert found["ingest_delay_ms_p99"]["value"] == 1.0
    assert "refunds" not in {row["tile"] for row in rows(pipeline, "tiles", product="BAG")}


def test_given_sales_over_time_when_converted_to_rows_then_each_row_has_both_days(pipeline: Pipeline) -> None:
    assert rows(pipeline, "pace") == [
        {"time": "2026-11-23T10:00", "offset": 600, "revenue": None, "receipts": None,
         "before_revenue": "5.00", "before_receipts": 1},
        {"time": "2026-11-23T11:59", "offset": 719, "revenue": "5.00", "receipts": 1,
         "before_revenue": None, "before_receipts": None},
    ]  # fmt: skip
    assert [row["receipts"] for row in rows(pipeline, "pace", category="Pain")] == [None, None]


def test_given_hours_when_converted_to_rows_then_each_cell_has_a_row(pipeline: Pipeline) -> None:
    assert rows(pipeline, "hours") == [
        {"category": "Pain", "hour": 11, "revenue": "2.50"},
        {"category": "Sandwich Froid", "hour": 11, "revenue": "2.50"},
    ]


def test_given_lists_when_converted_to_rows_then_each_row_names_its_list(pipeline: Pipeline) -> None:
    assert [(row["list"], row["product"]) for row in rows(pipeline, "products")] == [("top", "BAG"), ("top", "SAN")]
    assert [(row["list"], row["store"]) for row in rows(pipeline, "shops")] == [("best", "12")]


def test_given_a_panel_without_figures_for_the_scope_when_converted_then_there_are_no_rows(pipeline: Pipeline) -> None:
    assert rows(pipeline, "tills") == rows(pipeline, "payments", category="Pain") == []
    assert rows(pipeline, "shops", store="12") == []
