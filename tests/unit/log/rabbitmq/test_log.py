"""The log on RabbitMQ, where the port's conformance suite does not reach: record ids, subscribers and retention."""

from __future__ import annotations

import random
from typing import Any

import pika
import pytest

from tests.support.waiting import wait_until
from tests.unit.log.rabbitmq.conftest import OpenLog, receipts, records
from tillstream.errors import LogFull
from tillstream.log.base import START, current_record_id, pack_record_id
from tillstream.log.rabbitmq import topology


def test_a_reader_stops_anywhere_and_continues_and_each_record_is_found_by_its_id(open_log: OpenLog) -> None:
    writer, reader = open_log(), open_log(writer=False)
    writer.append(receipts(0, 90))
    writer.append(receipts(90, 30, original=b"original "))
    position, seen = START, []
    by_id: dict[int, tuple[bytes, bytes, bytes]] = {}
    chance = random.Random(7)
    while True:
        chunks = list(reader.read(position, 10))[: chance.randrange(1, 4)]
        if not chunks:
            break
        for chunk in chunks:
            seen += records([chunk])
            by_id |= dict(zip(chunk.record_ids, records([chunk]), strict=True))
        position = chunks[-1].position
    assert len(seen) == len(set(seen)) == 120
    some = chance.sample(sorted(by_id), 40)
    assert reader.fetch([*some, pack_record_id(3, 10_000, 0), 0]) == {each: by_id[each] for each in some}


def test_a_record_id_of_an_older_version_is_found(open_log: OpenLog) -> None:
    log = open_log(rabbitmq_partitions=1)
    log.append(receipts(0, 20))
    [chunk] = log.read(START, 100)
    old_ids = [pack_record_id(chunk.partition, 0, 5), pack_record_id(chunk.partition, 3, 2)]
    assert list(map(current_record_id, old_ids)) == [chunk.record_ids[5]] * 2
    assert log.fetch(old_ids) == dict.fromkeys(old_ids, records([chunk])[5])


def test_receipts_with_originals_reach_subscribers_and_the_log_once_each(open_log: OpenLog, channel: Any) -> None:
    writer = open_log()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, topology.RECEIPTS)
    writer.append(receipts(0, 20, original=b"original "))
    writer.append(receipts(20, 20))
    assert len(records(list(writer.read(START, 100)))) == 40
    wait_until(lambda: channel.queue_declare(queue, passive=True).method.message_count == 40, "subscribers have all")


def test_dropped_records_are_one_counted_fault_and_before_that_the_log_is_full(open_log: OpenLog) -> None:
    retention = {"rabbitmq_retention_bytes": 100_000}
    writer = open_log(**retention)

    def append_many(first: int, count: int, *, read: bool) -> None:
        for number in range(first, first + count, 50):
            writer._retention._measured_s = 0.0
            writer.append(receipts(number, 50, padding="x" * 300))
            if read:
                writer.publish(writer.end(), committed=True)

    with pytest.raises(LogFull, match="of what rabbitmq_retention_bytes keeps"):
        append_many(0, 10_000, read=False)
    assert [chunk.fault for chunk in writer.read(START, 10_000) if chunk.fault] == []
    writer.publish(writer.end(), committed=True)
    append_many(20_000, 2_000, read=True)
    reader = open_log(writer=False, **retention)
    # The broker enforces the retention with a delay.
    wait_until(lambda: any(chunk.fault for chunk in reader.read(START, 100_000)), "something was dropped")
    chunks = list(reader.read(START, 100_000))
    faults = [chunk for chunk in chunks if chunk.fault]
    assert all("are missing: dropped by its retention" in chunk.fault for chunk in faults)
    assert reader.count(chunks[-1].position) == sum(chunk.count for chunk in chunks)


def test_the_head_in_a_message_of_an_untrusted_user_is_ignored(open_log: OpenLog, channel: Any) -> None:
    log = open_log(rabbitmq_trusted_user="somebody-else")
    log.append(receipts(0, 1))
    [(head, body, original)] = records(list(log.read(START, 10)))
    assert head.split(b"\t")[0] == b"refusal"
    assert body == b""
    assert b"receiptKey" in original
    channel.basic_publish("receipts", "", b"{}", pika.BasicProperties(user_id="guest"))
    channel.basic_publish("receipts", "", b"{}", pika.BasicProperties(user_id="somebody-else"))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        channel.queue_declare("", exclusive=True)
