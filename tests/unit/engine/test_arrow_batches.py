"""Chunks become Arrow columns, or say why they cannot."""

from __future__ import annotations

import json

import pytest

from tests.inprocess.pipeline import head
from tests.support.receipts import NOON_US, body
from tillstream.engine.arrow_batches import RECORD_COLUMNS, ChunkError, records, zone_table
from tillstream.log.base import EMPTY, Chunk, Frame, Position, pack_record_id


def chunk(offset: int, receipts: list[dict[str, object]], **changes: object) -> Chunk:
    heads = Frame.of([head(each, NOON_US) for each in receipts])
    bodies = Frame.of([json.dumps(each, ensure_ascii=False).encode() for each in receipts])
    parts = {"heads": heads, "bodies": bodies, "originals": EMPTY, "count": len(receipts), **changes}
    return Chunk(partition=0, offset=offset, position=Position((offset,)), **parts)  # type: ignore[arg-type]


def test_every_record_is_a_row_with_its_place() -> None:
    table = records([chunk(3, [body(), body(cashReceiptID="2")]), chunk(4, [body(storeID='quo"ted, été')])])
    assert tuple(table.column_names) == RECORD_COLUMNS
    assert table["place"].to_pylist() == [pack_record_id(0, 3, 0), pack_record_id(0, 3, 1), pack_record_id(0, 4, 0)]
    assert table["store"].to_pylist() == ["12", "12", 'quo"ted, été']
    assert json.loads(table["body"][2].as_py())["storeID"] == 'quo"ted, été'


def test_a_record_with_an_offset_of_its_own_has_that_as_its_place() -> None:
    table = records([chunk(3, [body(), body(cashReceiptID="2")], own_offsets=True)])
    assert table["place"].to_pylist() == [pack_record_id(0, 3, 0), pack_record_id(0, 4, 0)]


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 3},
        {"heads": Frame.of([b"too\tfew\n"])},
        {"heads": Frame.of([head(body(), NOON_US).replace(str(NOON_US).encode(), b"noon")])},
        {"bodies": Frame.of([b"\xff\xfe"])},
        {"bodies": EMPTY},
    ],
)
def test_a_chunk_that_ingest_never_wrote_says_so(changes: dict[str, object]) -> None:
    with pytest.raises(ChunkError):
        records([chunk(1, [body()], **changes)])


def test_zones_are_a_row_for_each_zone_and_date() -> None:
    table = zone_table([("Europe/Paris", "2026-11-23"), ("Europe/Paris", "2026-10-25")])
    assert table["before_seconds"].to_pylist() == [3600, 7200]
    assert table["after_seconds"].to_pylist() == [3600, 3600]


@pytest.mark.parametrize("size", [1 << 20, 2_500_000, 5_000_000])
def test_reasons_of_any_length_leave_the_records_around_them_readable(size: int) -> None:
    receipts = [body(cashReceiptID=str(number)) for number in range(3)]
    heads = [head(each, NOON_US) for each in receipts]
    heads[1] = head(receipts[1], NOON_US, kind="refusal", notes="x" * size)
    table = records([chunk(1, receipts, heads=Frame.of(heads))])
    assert table["kind"].to_pylist() == ["receipt", "refusal", "receipt"]
    assert len(table["notes"][1].as_py()) == size
