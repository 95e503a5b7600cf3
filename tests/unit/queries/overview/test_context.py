"""What all panels of an overview have in common."""

from __future__ import annotations

from datetime import date

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell
from tests.support.receipts import body
from tillstream.queries.overview.context import version
from tillstream.queries.overview.span import Span


def test_given_days_when_receipts_are_added_to_them_then_their_version_changes(pipeline: Pipeline) -> None:
    span = Span(date(2026, 11, 16), date(2026, 11, 17))

    def now() -> int:
        with pipeline.database.snapshot() as reader:
            return version(reader, span)

    assert now() == 0
    sell(pipeline, body(date="2026-11-16 10:00:00"), body(date="2026-11-17 10:00:00"))
    assert now() == 2
    sell(pipeline, body(date="2026-11-18 10:00:00"))
    assert now() == 2
    sell(pipeline, body(date="2026-11-16 10:00:01", documentTotal={"grossTotal": 0}, lines=[]))
    assert now() == 3
