"""Returning keys: the first is found, and the others are judged by their content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.engine.arrow_batches import records
from tillstream.engine.dedup import Deduplicator, Repeat
from tillstream.engine.duckdb_sql import BatchSql
from tillstream.engine.quarantine_rows import QuarantineRows
from tillstream.log.base import START
from tillstream.receipt.normalization import Normalization


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


@pytest.fixture
def repeats(pipeline: Pipeline) -> Iterator[Deduplicator]:
    sql = BatchSql(Normalization(2), Settings())
    yield Deduplicator(pipeline.log, sql)
    sql.close()


def test_the_first_of_a_batch_and_the_stored_ones_stand(pipeline: Pipeline, repeats: Deduplicator) -> None:
    pipeline.append(body(), body(cashReceiptID="2"), body(), body(cashReceiptID="3"))
    table = records(list(pipeline.log.read(START, 10)))
    keys, places = table["key"].to_pylist(), table["place"].to_pylist()
    fresh, repeated = repeats.split(table, {keys[3]: 77})
    assert fresh["place"].to_pylist() == places[:2]
    assert [(record["place"], first) for record, first in repeated] == [(places[2], places[0]), (places[3], 77)]


def test_a_first_that_is_gone_from_the_log_makes_a_duplicate_of_its_key(
    pipeline: Pipeline, repeats: Deduplicator
) -> None:
    pipeline.append(body())
    [record] = records(list(pipeline.log.read(START, 10))).to_pylist()
    aside = QuarantineRows("Europe/Paris")
    repeats.judge([Repeat(record, 1 << 40)], aside)
    assert (aside.count("duplicates"), aside.count("conflicts")) == (1, 0)
