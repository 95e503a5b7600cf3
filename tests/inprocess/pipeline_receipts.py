"""Receipts that were sold and are folded already, for those who only read."""

from __future__ import annotations

from typing import Any

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body


def process_receipts(pipeline: Pipeline, *receipts: dict[str, Any]) -> None:
    """One commit of the log with these receipts, and all steps of the engine."""
    pipeline.append(*receipts)
    pipeline.drain()


def receipt_with_total(amount: float | str, **changes: Any) -> dict[str, Any]:
    """A receipt of this amount, without lines and payments."""
    return body(**{"documentTotal": {"grossTotal": amount}, "lines": [], "settlements": [], **changes})
