"""Helpers to add receipts to a pipeline."""

from __future__ import annotations

from typing import Any

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body


def process_receipts(pipeline: Pipeline, *receipts: dict[str, Any]) -> None:
    """Append receipts to the log and process them."""
    pipeline.append(*receipts)
    pipeline.drain()


def receipt_with_total(amount: float | str, **changes: Any) -> dict[str, Any]:
    """A receipt with this total, but without lines and payments."""
    return body(**{"documentTotal": {"grossTotal": amount}, "lines": [], "settlements": [], **changes})
