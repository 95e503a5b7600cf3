"""Chunks become Arrow tables, and bodies are compared by their normalized content."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.inprocess.pipeline import head
from tests.support.receipts import NOON_US, body
from tillstream.config.settings import Settings
from tillstream.engine.batches import RECORD_COLUMNS, BatchSql, ChunkError, records, zone_table
from tillstream.log.base import EMPTY, Chunk, Frame, Position, pack_record_id


def chunk(offset: int, receipts: list[dict[str, object]], **changes: object) -> Chunk:
    heads = Frame.of([head(each, NOON_US) for each in receipts])
    bodies = Frame.of([json.dumps(each, ensure_ascii=False).encode() for each in receipts])
    parts = {"heads": heads, "bodies": bodies, "originals": EMPTY, "count": len(receipts), **changes}
    return Chunk(partition=0, offset=offset, position=Position((offset,)), **parts)  # type: ignore[arg-type]


def test_every_record_is_a_row_with_its_record_id() -> None:
    table = records([chunk(3, [body(), body(cashReceiptID="2")]), chunk(4, [body(storeID='quo"ted, été')])])
    assert tuple(table.column_names) == RECORD_COLUMNS
    assert table["place"].to_pylist() == [pack_record_id(0, 3, 0), pack_record_id(0, 3, 1), pack_record_id(0, 4, 0)]
    assert table["store"].to_pylist() == ["12", "12", 'quo"ted, été']
    assert json.loads(table["body"][2].as_py())["storeID"] == 'quo"ted, été'


def test_the_record_id_has_the_records_own_offset_where_there_is_one() -> None:
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
def test_a_malformed_chunk_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises(ChunkError):
        records([chunk(1, [body()], **changes)])


def test_the_zone_table_has_a_row_for_each_zone_and_date() -> None:
    table = zone_table([("Europe/Paris", "2026-11-23"), ("Europe/Paris", "2026-10-25")])
    assert table["before_seconds"].to_pylist() == [3600, 7200]
    assert table["after_seconds"].to_pylist() == [3600, 3600]


@pytest.mark.parametrize("size", [1 << 20, 2_500_000, 5_000_000])
def test_long_reasons_leave_the_other_records_readable(size: int) -> None:
    receipts = [body(cashReceiptID=str(number)) for number in range(3)]
    heads = [head(each, NOON_US) for each in receipts]
    heads[1] = head(receipts[1], NOON_US, kind="refusal", notes="x" * size)
    table = records([chunk(1, receipts, heads=Frame.of(heads))])
    assert table["kind"].to_pylist() == ["receipt", "refusal", "receipt"]
    assert len(table["notes"][1].as_py()) == size


@pytest.fixture
def sql() -> Iterator[BatchSql]:
    sql = BatchSql(Settings())
    yield sql
    sql.close()


def test_an_unreadable_body_equals_no_other_and_affects_no_other_comparison(sql: BatchSql) -> None:
    whole = json.dumps(body())
    assert sql.same_content([(whole, whole), (whole, "{broken"), (whole, whole)]) == [True, False, True]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (body(), True),
        (body(receivedTime=1.5, unknown="x"), True),
        (body(agentID=7, documentTotal={"grossTotal": "5.00", "netTotal": "464e-2", "taxPayable": 0.36}), True),
        (body(agentID="8"), False),
        (body(lines=[]), False),
        (body(lines=body()["lines"][::-1]), False),
        (body(settlements=[{"paymentMechanism": "CB", "settlementAmount": 5.01}]), False),
    ],
)
def test_bodies_are_compared_by_normalized_content(sql: BatchSql, other: dict[str, object], same: bool) -> None:
    assert sql.same_content([(json.dumps(body()), json.dumps(other))]) == [same]


def test_missing_and_empty_parts_are_the_same(sql: BatchSql) -> None:
    bare = {"documentTotal": {"grossTotal": 1}}
    assert sql.same_content([(json.dumps(bare), json.dumps(bare | {"lines": [], "settlements": None}))]) == [True]
