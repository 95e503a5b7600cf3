"""Compare the stored metrics with a recount."""

from __future__ import annotations

from datetime import date
from typing import Any

from tests.inprocess.pipeline import Pipeline
from tests.support.recount import Figures, Recount


def stored_metric(pipeline: Pipeline, metric: str) -> Figures:
    declared = next(each for each in pipeline.metrics if each.name == metric)
    names = [key.name for key in declared.keys]
    return {
        tuple(plain_key(row.pop(name)) for name in names): {
            name: value for name, value in row.items() if name != "anomalies"
        }
        for row in pipeline.rows(metric)
    }


def plain_key(value: Any) -> Any:
    return value.isoformat() if type(value) is date else value


def assert_metrics_equal(pipeline: Pipeline, recount: Recount) -> None:
    """Check that the stored rows of every metric equal those of the recount."""
    for metric in ("sales", "sales_by_category", "sales_by_product", "sales_by_store", "sales_by_till",
                   "sales_by_minute", "sales_by_hour_and_category", "sales_by_product_and_hour",
                   "sales_by_store_and_hour", "payments_by_mechanism", "vat_by_rate"):  # fmt: skip
        assert stored_metric(pipeline, metric) == {key: dict(row) for key, row in recount.figures[metric].items()}, (
            metric
        )
