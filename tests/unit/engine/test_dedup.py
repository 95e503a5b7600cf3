"""The first record of a key counts, and repeated ones are classified by their content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.engine.batches import BatchSql, records
from tillstream.engine.dedup import Deduplicator, Repeat
from tillstream.engine.quarantine_rows import QuarantineRows
from tillstream.log.base import START


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


@pytest.fixture
def deduplicator(pipeline: Pipeline) -> Iterator[Deduplicator]:
    sql = BatchSql(Settings())
    yield Deduplicator(pipeline.log, sql)
    sql.close()


def test_the_first_of_a_batch_and_stored_ones_count(pipeline: Pipeline, deduplicator: Deduplicator) -> None:
    pipeline.append(body(), body(cashReceiptID="2"), body(), body(cashReceiptID="3"))
    table = records(list(pipeline.log.read(START, 10)))
    keys, record_ids = table["key"].to_pylist(), table["place"].to_pylist()
    new, repeated = deduplicator.split(table, {keys[3]: 77})
    assert new["place"].to_pylist() == record_ids[:2]
    assert [(record["place"], first) for record, first in repeated] == [
        (record_ids[2], record_ids[0]),
        (record_ids[3], 77),
    ]


def test_if_the_first_is_gone_from_the_log_a_repeated_key_is_a_duplicate(
    pipeline: Pipeline, deduplicator: Deduplicator
) -> None:
    pipeline.append(body())
    [record] = records(list(pipeline.log.read(START, 10))).to_pylist()
    quarantine = QuarantineRows("Europe/Paris")
    deduplicator.classify([Repeat(record, 1 << 40)], quarantine)
    assert (quarantine.count("duplicates"), quarantine.count("conflicts")) == (1, 0)
