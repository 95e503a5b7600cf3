"""Page by page each row comes once."""

from __future__ import annotations

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.queries.queries import Queries

TODAY = "2026-11-23"


def test_given_many_receipts_when_read_page_by_page_then_each_comes_once_the_newest_first(
    pipeline: Pipeline, queries: Queries
) -> None:
    for number in range(1, 8):
        pipeline.append(body(cashReceiptID=str(number)), body(cashReceiptID=str(number), terminalID="9"))
        pipeline.clock.advance(number % 2)
    pipeline.drain()
    seen: list[str] = []
    page = queries.receipts({"limit": "4"})
    while True:
        seen += [f"{each['receipt']}/{each['till']}" for each in page["receipts"]]
        if page["next"] is None:
            break
        page = queries.receipts({"limit": "4", "cursor": page["next"]})
    assert seen == [f"{number}/{till}" for number in range(7, 0, -1) for till in ("9", "3")]
