"""The streams of receipts: how stores are spread over them, holes, and several writers and readers."""

from __future__ import annotations

from collections import defaultdict
from threading import Thread

import pytest

from tests.unit.log.rabbitmq.conftest import OpenLog, receipts, records
from tillstream.log.base import START
from tillstream.receipt.model import HEAD_COLUMNS

STORE = HEAD_COLUMNS.index("store")


def by_store(found: list[tuple[bytes, bytes, bytes]]) -> dict[bytes, list[tuple[bytes, bytes, bytes]]]:
    stores = defaultdict(list)
    for record in found:
        stores[record[0].split(b"\t")[STORE]].append(record)
    return dict(stores)


@pytest.mark.parametrize("readers", [1, 2, 7])
def test_receipts_are_spread_by_store_and_read_unchanged_in_the_order_of_each_store(
    open_log: OpenLog, readers: int
) -> None:
    writer, reader = open_log(), open_log(writer=False, rabbitmq_readers=readers)
    written = []
    for first in range(0, 300, 60):
        batch = receipts(first, 60)
        writer.append(batch)
        written += list(zip(batch.heads, batch.bodies, batch.originals, strict=True))
    chunks = list(reader.read(START, 1_000))
    assert by_store(records(chunks)) == by_store(written)
    assert {chunk.partition for chunk in chunks} == {2, 3, 4}
    assert chunks[-1].position == reader.end()
    assert reader.count(reader.end()) == reader.lag() == 300


def test_several_ingests_append_at_once(open_log: OpenLog) -> None:
    writers = [open_log() for _ in range(3)]

    def write(number: int) -> None:
        for first in range(0, 200, 20):
            writers[number].append(receipts(1_000 * number + first, 20, original=b"" if number else b"o"))

    threads = [Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = open_log(writer=False)
    found = records(list(reader.read(START, 10_000)))
    assert len(found) == len(set(found)) == 600
    assert reader.count(reader.end()) == 600


def test_offsets_that_the_broker_uses_for_itself_are_not_counted(open_log: OpenLog) -> None:
    small = {"rabbitmq_segment_bytes": 20_000}
    writer, reader = open_log(**small), open_log(writer=False, rabbitmq_readers=2, **small)
    for first in range(0, 600, 50):
        writer.append(receipts(first, 50, padding="x" * 300))
    chunks = list(reader.read(START, 1_000))
    assert [chunk.fault for chunk in chunks if chunk.fault] == []
    end = reader.end()
    assert sum(offset + 1 for offset in end.offsets) > 600
    assert reader.count(end) == open_log(writer=False).count(end) == sum(chunk.count for chunk in chunks) == 600
    reader.publish(end, committed=True)
    assert writer.lag() == 0


def test_after_the_number_of_partitions_is_lowered_all_streams_are_read(open_log: OpenLog) -> None:
    writer = open_log()
    writer.append(receipts(0, 60))
    writer.close()
    fewer = open_log(rabbitmq_partitions=1)
    fewer.append(receipts(60, 60))
    for readers in (1, 3):
        reader = open_log(writer=False, rabbitmq_partitions=1, rabbitmq_readers=readers)
        assert len(records(list(reader.read(START, 1_000)))) == 120
