"""The plan in DuckDB: sifting, and content that is alike however it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.engine.duckdb_sql import BatchSql
from tillstream.receipt.normalization import Normalization


@pytest.fixture
def sql() -> Iterator[BatchSql]:
    sql = BatchSql(Normalization(2), Settings())
    yield sql
    sql.close()


def test_what_cannot_be_read_is_like_nothing_and_spoils_no_other_comparison(sql: BatchSql) -> None:
    whole = json.dumps(body())
    assert sql.same_content([(whole, whole), (whole, "{broken"), (whole, whole)]) == [True, False, True]


@pytest.mark.parametrize(
    ("other", "alike"),
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
def test_content_is_compared_as_read(sql: BatchSql, other: dict[str, object], alike: bool) -> None:
    assert sql.same_content([(json.dumps(body()), json.dumps(other))]) == [alike]


def test_missing_and_empty_parts_are_alike(sql: BatchSql) -> None:
    bare = {"documentTotal": {"grossTotal": 1}}
    assert sql.same_content([(json.dumps(bare), json.dumps(bare | {"lines": [], "settlements": None}))]) == [True]
