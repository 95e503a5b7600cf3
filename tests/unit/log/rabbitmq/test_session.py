"""The streams of receipts behind their exchange: what the suite of the port, whose records have no store, leaves out."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Thread
from typing import Any

import pika
import pytest
from msgspec.structs import replace

from tests.inprocess.pipeline import head
from tests.support.receipts import body
from tests.support.waiting import wait_until
from tillstream.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.errors import LogFull
from tillstream.log.base import START, Batch, Chunk, pack_place, place_now
from tillstream.log.rabbitmq import topology
from tillstream.log.rabbitmq.log import RabbitLog
from tillstream.receipt.model import HEAD_COLUMNS
from tillstream.receipt.validation import Validator

RECEIVED_US = 1_795_431_600_000_000
STORE = HEAD_COLUMNS.index("store")

Open = Callable[..., RabbitLog]


@pytest.fixture
def open_log(broker_url: str) -> Iterator[Open]:
    opened: list[RabbitLog] = []

    def open_log(*, writer: bool = True, **changes: Any) -> RabbitLog:
        settings = replace(Settings(), rabbitmq_url=broker_url, **{"rabbitmq_partitions": 3, **changes})
        opened.append(RabbitLog(settings, Validator(settings), ManualClock(RECEIVED_US), writer=writer))
        return opened[-1]

    yield open_log
    for log in opened:
        log.close()


@pytest.fixture
def channel(broker_url: str) -> Iterator[Any]:
    with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        yield connection.channel()


def sold(first: int, count: int, *, original: bytes = b"", padding: str = "") -> Batch:
    """Receipts of many stores; `cashReceiptID` counts."""
    batch = Batch()
    for number in range(first, first + count):
        receipt = body(cashReceiptID=str(number), storeID=str(number % 17))
        written = f'{{"cashReceiptID": "{number}",\n "padding": "{padding}", "total": 0.10}} \n'.encode()
        batch.add(head(receipt, RECEIVED_US + number), written, original and original + str(number).encode())
    return batch


def records(chunks: list[Chunk]) -> list[tuple[bytes, bytes, bytes]]:
    return [
        record
        for chunk in chunks
        for record in zip(chunk.heads, chunk.bodies, chunk.originals, strict=True)
    ]  # fmt: skip


def by_store(found: list[tuple[bytes, bytes, bytes]]) -> dict[bytes, list[tuple[bytes, bytes, bytes]]]:
    stores = defaultdict(list)
    for record in found:
        stores[record[0].split(b"\t")[STORE]].append(record)
    return dict(stores)


@pytest.mark.parametrize("readers", [1, 2, 7])
def test_receipts_are_spread_by_store_and_come_back_byte_for_byte_in_their_stores_order(
    open_log: Open, readers: int
) -> None:
    writer, reader = open_log(), open_log(writer=False, rabbitmq_readers=readers)
    written = []
    for first in range(0, 300, 60):
        batch = sold(first, 60)
        writer.append(batch)
        written += list(zip(batch.heads, batch.bodies, batch.originals, strict=True))
    chunks = list(reader.read(START, 1_000))
    assert by_store(records(chunks)) == by_store(written)
    assert {chunk.partition for chunk in chunks} == {2, 3, 4}
    assert chunks[-1].position == reader.end()
    assert reader.count(reader.end()) == reader.lag() == 300


def test_a_reader_that_stops_anywhere_goes_on_there_and_finds_each_record_by_its_place(open_log: Open) -> None:
    writer, reader = open_log(), open_log(writer=False)
    writer.append(sold(0, 90))
    writer.append(sold(90, 30, original=b"original "))
    position, seen = START, []
    places: dict[int, tuple[bytes, bytes, bytes]] = {}
    moments = random.Random(7)
    while True:
        chunks = list(reader.read(position, 10))[: moments.randrange(1, 4)]
        if not chunks:
            break
        for chunk in chunks:
            seen += records([chunk])
            places |= dict(zip(chunk.places, records([chunk]), strict=True))
        position = chunks[-1].position
    assert len(seen) == len(set(seen)) == 120
    some = moments.sample(sorted(places), 40)
    assert reader.fetch([*some, pack_place(3, 10_000, 0), 0]) == {place: places[place] for place in some}


def test_a_place_that_was_noted_when_it_depended_on_the_read_is_still_found(open_log: Open) -> None:
    log = open_log(rabbitmq_partitions=1)
    log.append(sold(0, 20))
    [chunk] = log.read(START, 100)
    noted = [pack_place(chunk.partition, 0, 5), pack_place(chunk.partition, 3, 2)]
    assert list(map(place_now, noted)) == [chunk.places[5]] * 2
    assert log.fetch(noted) == dict.fromkeys(noted, records([chunk])[5])


def test_receipts_with_originals_reach_subscribers_and_the_log_once_each(open_log: Open, channel: Any) -> None:
    writer = open_log()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, topology.RECEIPTS)
    writer.append(sold(0, 20, original=b"original "))
    writer.append(sold(20, 20))
    assert len(records(list(writer.read(START, 100)))) == 40
    wait_until(lambda: channel.queue_declare(queue, passive=True).method.message_count == 40, "subscribers have all")


def test_several_ingests_write_at_once(open_log: Open) -> None:
    writers = [open_log() for _ in range(3)]

    def write(number: int) -> None:
        for first in range(0, 200, 20):
            writers[number].append(sold(1_000 * number + first, 20, original=b"" if number else b"o"))

    threads = [Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = open_log(writer=False)
    found = records(list(reader.read(START, 10_000)))
    assert len(found) == len(set(found)) == 600
    assert reader.count(reader.end()) == 600


def test_offsets_that_the_broker_keeps_for_itself_are_no_records(open_log: Open) -> None:
    small = {"rabbitmq_segment_bytes": 20_000}
    writer, reader = open_log(**small), open_log(writer=False, rabbitmq_readers=2, **small)
    for first in range(0, 600, 50):
        writer.append(sold(first, 50, padding="x" * 300))
    chunks = list(reader.read(START, 1_000))
    assert [chunk.fault for chunk in chunks if chunk.fault] == []
    end = reader.end()
    assert sum(offset + 1 for offset in end.offsets) > 600
    assert reader.count(end) == open_log(writer=False).count(end) == sum(chunk.count for chunk in chunks) == 600
    reader.publish(end, committed=True)
    assert writer.lag() == 0


def test_what_retention_dropped_is_one_fault_that_counts_it_and_the_log_is_full_before(open_log: Open) -> None:
    kept = {"rabbitmq_retention_bytes": 100_000}
    writer = open_log(**kept)

    def append_many(first: int, count: int, *, read: bool) -> None:
        for number in range(first, first + count, 50):
            writer._room_checked = 0.0
            writer.append(sold(number, 50, padding="x" * 300))
            if read:
                writer.publish(writer.end(), committed=True)

    with pytest.raises(LogFull, match="of what rabbitmq_retention_bytes keeps"):
        append_many(0, 10_000, read=False)
    assert [chunk.fault for chunk in writer.read(START, 10_000) if chunk.fault] == []
    writer.publish(writer.end(), committed=True)
    append_many(20_000, 2_000, read=True)
    fresh = open_log(writer=False, **kept)
    # The broker drops what is too much when it comes to it.
    wait_until(lambda: any(chunk.fault for chunk in fresh.read(START, 100_000)), "something was dropped")
    chunks = list(fresh.read(START, 100_000))
    faults = [chunk for chunk in chunks if chunk.fault]
    assert all("are missing: dropped by its retention" in chunk.fault for chunk in faults)
    assert fresh.count(chunks[-1].position) == sum(chunk.count for chunk in chunks)


def test_fewer_partitions_than_before_leave_nothing_unread(open_log: Open) -> None:
    writer = open_log()
    writer.append(sold(0, 60))
    writer.close()
    fewer = open_log(rabbitmq_partitions=1)
    fewer.append(sold(60, 60))
    for readers in (1, 3):
        reader = open_log(writer=False, rabbitmq_partitions=1, rabbitmq_readers=readers)
        assert len(records(list(reader.read(START, 1_000)))) == 120


def test_what_a_user_that_is_not_trusted_says_of_its_head_is_not_believed(open_log: Open, channel: Any) -> None:
    trusting = open_log(rabbitmq_trusted_user="somebody-else")
    trusting.append(sold(0, 1))
    [(its_head, kept, original)] = records(list(trusting.read(START, 10)))
    assert its_head.split(b"\t")[0] == b"refusal"
    assert kept == b""
    assert b"receiptKey" in original
    channel.basic_publish("receipts", "", b"{}", pika.BasicProperties(user_id="guest"))
    channel.basic_publish("receipts", "", b"{}", pika.BasicProperties(user_id="somebody-else"))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        channel.queue_declare("", exclusive=True)
